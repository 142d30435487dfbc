"""A run for FiftyOne: crops, heatmaps, and one JSON line per sample."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipeline.errors import FlowatlasError
from pipeline.export.selection import select_images
from pipeline.flows import render
from pipeline.store import Run
from pipeline.store.crops import CropReader

SAMPLES = "samples.jsonl"


def export_fiftyone(run: Run, folder: Path, most: int) -> int:
    """Write at most ``most`` images of every class for FiftyOne; return how many.

    ``images/ROW.png`` is what the model saw, ``flows/ROW.png`` its accumulated flow (8 bit, of
    the same size), and each line of ``samples.jsonl`` is what ``fiftyone.Sample.from_dict``
    takes: ``ground_truth`` and ``prediction`` (Classification), ``flow`` (Heatmap), ``row``,
    ``uri``, ``margin`` and ``correct``. Names from the data are values, never file names.

    Raises
    ------
    FlowatlasError
        None of the images can be read now.
    """
    folder = folder.resolve()
    images = select_images(run, most).to_pylist()
    crops = CropReader(run, (image["row"] for image in images))
    for name in ("images", "flows"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    written = 0
    with (folder / SAMPLES).open("w", encoding="ascii") as lines:
        for image in images:
            row = image["row"]
            crop = crops.show(row)
            if crop.pixels is None:
                continue
            photo = folder / "images" / f"{row}.png"
            Image.fromarray(np.ascontiguousarray(crop.pixels.transpose(1, 2, 0))).save(photo)
            maps = torch.from_numpy(run.read_maps(row, row + 1))
            height, width = crop.pixels.shape[1:]
            heat = render(maps, (height, width), mode="sigmoid")[0, -1].numpy()
            Image.fromarray(heat).save(folder / "flows" / f"{row}.png")
            lines.write(json.dumps(_sample(run, image, folder)) + "\n")
            written += 1
    if not written:
        raise FlowatlasError(f"no image of {run.uri} can be read now; check its dataset.source")
    return written


def _sample(run: Run, image: dict[str, Any], folder: Path) -> dict[str, Any]:
    row = image["row"]
    sample: dict[str, Any] = {
        "filepath": str(folder / "images" / f"{row}.png"),
        "flow": {"_cls": "Heatmap", "map_path": str(folder / "flows" / f"{row}.png")},
        "row": row,
        "uri": image["uri"],
        "margin": image["margin"],
        "correct": image["correct"],
    }
    for field, number, confidence in (
        ("ground_truth", image["label"], None),
        ("prediction", image["pred"], image["confidence"]),
    ):
        if number is not None:
            label = {"_cls": "Classification", "label": run.spec.classes[number]}
            sample[field] = label | ({} if confidence is None else {"confidence": confidence})
    return {name: value for name, value in sample.items() if value is not None}

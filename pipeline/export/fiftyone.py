"""A run for FiftyOne: crops, heatmaps, and one JSON line per sample."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from PIL import Image

from pipeline.audit.findings_table import read_findings
from pipeline.errors import FlowatlasError
from pipeline.export.selection import select_images
from pipeline.flows import render
from pipeline.progress import Progress, Show, unseen
from pipeline.store import Run
from pipeline.store.crops import CropReader
from pipeline.store.reader import FINDINGS

SAMPLES = "samples.jsonl"
_TOGETHER = 512  # rows whose maps are read at once: the inner chunk of the stored maps
_HEAD = {"row", "status", "reason", "label", "pred", "target", "correct", "margin", "phash"}


def export_fiftyone(run: Run, folder: Path, most: int, on_progress: Show = unseen) -> int:
    """Write at most ``most`` images of every class for FiftyOne; return how many.

    ``images/ROW.jpg`` is what the model saw, ``flows/ROW.png`` its accumulated flow (8 bit, of
    the same size), and each line of ``samples.jsonl`` is what ``fiftyone.Sample.from_dict``
    takes once its paths, which are relative to the folder, are made absolute: ``ground_truth`` and
    ``prediction`` (Classification), ``flow`` (Heatmap), ``row``, ``uri``, ``margin``, ``correct``,
    every measure of the image as a whole, ``findings`` (the sentences it is evidence of) and
    ``tags`` (``right`` or ``wrong``, and ``finding-N``). Names from the data are values, never file
    names.

    Raises
    ------
    FlowatlasError
        None of the images can be read now.
    """
    folder = folder.resolve()
    images = select_images(run, most).to_pylist()
    rows = [image["row"] for image in images]
    crops = CropReader(run, iter(rows))
    measures, findings = _measures(run, rows), _findings(run)
    for name in ("images", "flows"):
        (folder / name).mkdir(parents=True, exist_ok=True)

    def draw(item: tuple[dict[str, Any], NDArray[np.float32]]) -> dict[str, Any] | None:
        image, maps = item
        row = image["row"]
        pixels = crops.show(row).pixels
        if pixels is None:
            return None
        photo = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        photo.save(folder / "images" / f"{row}.jpg", quality=92)
        size = (pixels.shape[1], pixels.shape[2])
        heat = render(torch.from_numpy(maps)[None], size, mode="sigmoid")[0, -1].numpy()
        Image.fromarray(heat).save(folder / "flows" / f"{row}.png", compress_level=1)
        return _sample(run, image, measures[row], findings.get(row, {}))

    written, progress = 0, Progress(on_progress)
    progress.plan(len(images))
    with (folder / SAMPLES).open("w", encoding="ascii") as lines, ThreadPoolExecutor() as pool:
        for sample in pool.map(draw, _with_maps(run, images)):
            progress.add()
            if sample is not None:
                lines.write(json.dumps(sample) + "\n")
                written += 1
    if not written:
        raise FlowatlasError(f"no image of {run.uri} can be read now; check its dataset.source")
    return written


def _with_maps(
    run: Run, images: list[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], NDArray[np.float32]]]:
    """Yield images, which are in order of rows, with their maps, read chunk by chunk."""
    groups: dict[int, list[dict[str, Any]]] = {}
    for image in images:
        groups.setdefault(image["row"] // _TOGETHER, []).append(image)
    for group in groups.values():
        first = group[0]["row"]
        maps = run.read_maps(first, group[-1]["row"] + 1)
        for image in group:
            yield image, maps[image["row"] - first]


def _measures(run: Run, rows: list[int]) -> dict[int, dict[str, float]]:
    """Return what was measured of every image as a whole; what is undefined is left out."""
    names = [name for name in run.summary().schema.names if "_l" not in name and name not in _HEAD]
    table = run.summary().to_table(columns=["row", *names], filter=pc.field("row").isin(rows))
    return {
        entry.pop("row"): {
            name: value for name, value in entry.items() if value is not None and isfinite(value)
        }
        for entry in table.to_pylist()
    }


def _findings(run: Run) -> dict[int, dict[int, str]]:
    """Return the sentences of the findings that an image is evidence of, by row and number."""
    found: dict[int, dict[int, str]] = {}
    for finding in read_findings(run) if run.exists(FINDINGS) else ():
        for row in finding.rows:
            found.setdefault(row, {})[finding.number] = finding.sentence
    return found


def _sample(
    run: Run, image: dict[str, Any], measures: Mapping[str, float], findings: Mapping[int, str]
) -> dict[str, Any]:
    row, correct = image["row"], image["correct"]
    sample: dict[str, Any] = {
        "filepath": f"images/{row}.jpg",
        "flow": {"_cls": "Heatmap", "map_path": f"flows/{row}.png"},
        "row": row,
        "uri": image["uri"],
        "margin": image["margin"],
        "correct": correct,
        "tags": [
            *([] if correct is None else ["right" if correct else "wrong"]),
            *(f"finding-{number}" for number in findings),
        ],
        "findings": list(findings.values()),
        **measures,
    }
    for field, number, confidence in (
        ("ground_truth", image["label"], None),
        ("prediction", image["pred"], image["confidence"]),
    ):
        if number is not None:
            label = {"_cls": "Classification", "label": run.spec.classes[number]}
            sample[field] = label | ({} if confidence is None else {"confidence": confidence})
    return {name: value for name, value in sample.items() if value is not None}

"""A run as a ViRelAy project: crops, flows and a spectral analysis of every class, in HDF5."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import yaml
from numpy.typing import NDArray
from torch.nn import functional as F

from pipeline.audit.patterns.spectral import spectrum
from pipeline.errors import FlowatlasError
from pipeline.export.selection import select_images
from pipeline.flows import accumulate
from pipeline.progress import Progress, Show, unseen
from pipeline.store import Run
from pipeline.store.crops import CropReader

PROJECT = "project.yaml"
_METHOD = "spectral"


def export_virelay(run: Run, folder: Path, most: int, on_progress: Show = unseen) -> int:
    """Write a project of at most ``most`` images of every class; return how many images.

    ``dataset.h5`` holds what the model saw (n, 3, H, W) uint8, ``attribution.h5`` the accumulated
    flows enlarged to it (n, 1, H, W) float32 with the predictions, ``analysis.h5`` per class the
    spectral embedding and its clusters, ``labels.json`` the names. The only prediction that a run
    keeps is the class that won: its confidence is written, the others are zero.

    Raises
    ------
    FlowatlasError
        h5py is not installed, or none of the images can be read now.
    """
    h5py = _h5py()
    folder.mkdir(parents=True, exist_ok=True)
    images = select_images(run, most)
    with (
        h5py.File(folder / "dataset.h5", "w") as data,
        h5py.File(folder / "attribution.h5", "w") as attribution,
    ):
        rows, progress = images["row"].to_pylist(), Progress(on_progress)
        kept, flows = _write_images(run, rows, data, attribution, progress)
        images = images.take(kept)
        labels = images["class"].to_numpy().astype(np.uint16)
        data["label"] = attribution["label"] = labels
        attribution["index"] = np.arange(len(labels), dtype=np.uint32)
        predictions = _predictions(run, images)
        attribution.create_dataset("prediction", data=predictions, compression="gzip")
    with h5py.File(folder / "analysis.h5", "w") as file:
        for number in np.unique(labels):
            _analyse(file, _key(int(number)), flows, np.flatnonzero(labels == number))
    names = [
        {"index": number, "word_net_id": _key(number), "name": name}
        for number, name in enumerate(run.spec.classes)
    ]
    (folder / "labels.json").write_text(json.dumps(names), encoding="ascii")
    project = {"project": _project(run)}
    (folder / PROJECT).write_text(yaml.safe_dump(project, sort_keys=False), encoding="utf-8")
    return len(labels)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise FlowatlasError("a ViRelAy project is HDF5: pip install h5py") from error
    return h5py


def _write_images(
    run: Run, rows: list[int], data: Any, attribution: Any, progress: Progress
) -> tuple[list[int], NDArray[np.float32]]:
    """Write crops and enlarged flows one by one; return the places in ``rows`` that could be read.

    The flows, on the model's own grid (n, h, w), are small enough to be kept for the analysis.
    """
    reader = CropReader(run, rows)
    size = tuple(run.spec.input["size"])
    crops = _growing(data, "data", (3, *size), np.uint8)
    large = _growing(attribution, "attribution", (1, *size), np.float32)
    kept: list[int] = []
    flows: list[NDArray[np.float32]] = []
    progress.plan(len(rows))
    for place, row in enumerate(rows):
        progress.add()
        pixels = reader.show(row).pixels
        if pixels is None:
            continue
        flow = accumulate(torch.from_numpy(run.read_maps(row, row + 1)))[:, -1:]
        for dataset in (crops, large):
            dataset.resize(len(kept) + 1, axis=0)
        crops[-1] = pixels
        large[-1] = F.interpolate(flow, size, mode="bilinear", align_corners=False)[0].numpy()
        kept.append(place)
        flows.append(flow[0, 0].numpy())
    if not kept:
        raise FlowatlasError(f"no image of {run.uri} can be read now; check its dataset.source")
    return kept, np.stack(flows)


def _growing(file: Any, name: str, shape: tuple[int, ...], dtype: type) -> Any:
    return file.create_dataset(
        name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(1, *shape), compression="gzip"
    )


def _predictions(run: Run, images: pa.Table) -> NDArray[np.float32]:
    """Return the confidence of the answer, 0 of other classes; of several labels every score."""
    if run.spec.multi_label:
        logits = np.asarray(run.logits.oindex[images["row"].to_numpy()], np.float64)
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)
    found = np.zeros((len(images), len(run.spec.classes)), np.float32)
    predicted = images["pred"].to_numpy().astype(np.int64)
    found[np.arange(len(predicted)), predicted] = images["confidence"].to_numpy()
    return found


def _analyse(file: Any, key: str, flows: NDArray[np.float32], places: NDArray[np.intp]) -> None:
    found = spectrum(flows[places].reshape(len(places), -1).astype(np.float64))
    group = file.create_group(key)
    group["name"] = key
    group["index"] = places.astype(np.uint32)
    embedding = group.create_dataset(
        f"embedding/{_METHOD}", data=_planar(found.vectors).astype(np.float32)
    )
    embedding.attrs["eigenvalue"] = found.values.astype(np.float32)
    group.create_dataset(f"cluster/{_METHOD}", data=found.labels.astype(np.uint32))


def _planar(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """A viewer needs two axes at least."""
    return np.pad(vectors, ((0, 0), (0, max(0, 2 - vectors.shape[1]))))


def _key(number: int) -> str:
    """Name a class by its number: its own name could be a path."""
    return f"class-{number:05d}"


def _project(run: Run) -> dict[str, Any]:
    height, width = run.spec.input["size"]
    method, target = run.config.flow.method, run.config.flow.target
    return {
        "name": f"{run.config.model.name}, {method}",
        "model": run.config.model.name,
        "label_map": "labels.json",
        "dataset": {
            "name": "images",
            "type": "hdf5",
            "path": "dataset.h5",
            "input_width": int(width),
            "input_height": int(height),
            "down_sampling_method": "none",
            "up_sampling_method": "none",
        },
        "attributions": {
            "attribution_method": f"{method}, accumulated",
            "attribution_strategy": "true_label" if target == "label" else "predicted_label",
            "sources": ["attribution.h5"],
        },
        "analyses": [{"analysis_method": _METHOD, "sources": ["analysis.h5"]}],
    }

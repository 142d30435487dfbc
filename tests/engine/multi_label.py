"""A small dataset of images with several labels, and the configuration of a run of it."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.config import RunConfig
from tests.engine.datasets import small_config, write_model

CLASSES = ("ant", "bee", "cow", "dog")


def write_several(folder: Path, images: int = 12, seed: int = 0) -> list[list[int]]:
    """Write noise images with 0 to 3 of four labels in a Parquet file; return the labels."""
    rng = np.random.default_rng(seed)
    content, labels = [], []
    for _ in range(images):
        coarse = Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8))
        sink = io.BytesIO()
        coarse.resize((40, 36), Image.Resampling.BICUBIC).save(sink, "PNG")
        content.append(sink.getvalue())
        some = rng.permutation(len(CLASSES))[: rng.integers(0, 4)]
        labels.append(sorted(some.tolist()))
    names = [[CLASSES[label] for label in own] for own in labels]
    table = pa.table({"image": content, "labels": pa.array(names, pa.list_(pa.string()))})
    pq.write_table(table, folder / "several.parquet")
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    write_model(folder / "model.safetensors", classes=len(CLASSES))
    return labels


def several_config(folder: Path, run: str = "run", **flow: object) -> RunConfig:
    """Return the configuration of a run of them; ``flow`` are further fields of its flow."""
    (folder / "images").mkdir(exist_ok=True)
    config = small_config(folder, run)
    source, classes = str(folder / "several.parquet"), str(folder / "classes.txt")
    content = config.model_dump(mode="json")
    content["dataset"] |= {"source": source, "classes": classes}
    content["model"]["output"] = "sigmoid"
    content["flow"] |= flow
    return RunConfig.model_validate(content)

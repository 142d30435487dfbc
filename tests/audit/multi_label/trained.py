"""A small ViT trained on images with several labels, and the configuration of its runs."""

import io
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.config import RunConfig

CLASSES = ("bars", "checks", "dots", "rings")
SIDE = 32
OPTIONS = {"img_size": SIDE, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 2}
INPUT = {"size": [SIDE, SIDE], "mean": [0.5] * 3, "std": [0.25] * 3, "crop_pct": 1.0}
TAGGED = 3
"""The class half of whose images have a white tag in the top right corner."""


def pattern(label: int, phase: int) -> np.ndarray:
    """Return the pattern of a class, (12, 12) in [0, 1]."""
    y, x = np.mgrid[:12, :12]
    radius = np.hypot(y - 5.5, x - 5.5)
    patterns = (
        (x + phase) % 4 < 2,
        ((x + phase) // 3 + y // 3) % 2 == 0,
        ((x + phase) % 4 < 2) & (y % 4 < 2),
        (radius + phase) % 4 < 2,
    )
    return patterns[label].astype(np.float64)


def image_of(labels: tuple[int, ...], tagged: bool, rng: np.random.Generator) -> np.ndarray:
    """Return an image (32, 32, 3) with the pattern of every label in a quarter of its own."""
    image = rng.normal(0.35, 0.08, (SIDE, SIDE, 3))
    quarters = rng.permutation(4)
    for label, quarter in zip(labels, quarters, strict=False):
        y, x = 2 + 16 * (quarter // 2), 2 + 16 * (quarter % 2)
        colour = rng.uniform(0.3, 0.7, 3)
        image[y : y + 12, x : x + 12] += pattern(label, rng.integers(4))[..., None] * colour
    if tagged:
        image[:5, -5:] = 1.0
    return (image.clip(0, 1) * 255).astype(np.uint8)


def dataset(images: int, seed: int, share: float = 0.5) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """Return images (n, 32, 32, 3) and their labels, 0 to 3 each."""
    rng = np.random.default_rng(seed)
    labels = [
        tuple(sorted(rng.permutation(4)[: rng.integers(0, 4)].tolist())) for _ in range(images)
    ]
    tagged = [TAGGED in own and rng.random() < share for own in labels]
    pixels = [image_of(own, tag, rng) for own, tag in zip(labels, tagged, strict=True)]
    return np.stack(pixels), labels


@cache
def trained_state() -> dict[str, torch.Tensor]:
    """Return the weights of a ViT with a multi-label head, trained for a few seconds."""
    torch.manual_seed(0)
    images, labels = dataset(384, seed=1)
    pixels = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    wanted = torch.tensor([[float(k in own) for k in range(4)] for own in labels])
    model = timm.create_model("vit_tiny_patch16_224", num_classes=4, **OPTIONS)
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, epochs=9, steps_per_epoch=24)
    for _ in range(9):
        for some in torch.randperm(384).split(16):
            loss = binary_cross_entropy_with_logits(model(pixels[some]), wanted[some])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval().state_dict()


def write_dataset(folder: Path, images: int = 160, seed: int = 2) -> list[tuple[int, ...]]:
    """Write images, their labels as lists of names, classes and model; return the labels."""
    pixels, labels = dataset(images, seed)
    content = []
    for image in pixels:
        sink = io.BytesIO()
        Image.fromarray(image).save(sink, "PNG")
        content.append(sink.getvalue())
    names = [[CLASSES[label] for label in own] for own in labels]
    table = pa.table({"image": content, "labels": pa.array(names, pa.list_(pa.string()))})
    pq.write_table(table, folder / "several.parquet")
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    save_file(trained_state(), folder / "model.safetensors")
    return labels


def configuration(folder: Path, run: str, **flow: object) -> RunConfig:
    """Return the configuration of a run of the dataset in ``folder``."""
    return RunConfig.model_validate(
        {
            "run": str(folder / run),
            "dataset": {
                "source": str(folder / "several.parquet"),
                "classes": str(folder / "classes.txt"),
            },
            "model": {
                "name": "vit_tiny_patch16_224",
                "weights": str(folder / "model.safetensors"),
                "options": OPTIONS,
                "output": "sigmoid",
                "input": INPUT,
            },
            "flow": flow,
            "cluster": {"engine": "local"},
        }
    )

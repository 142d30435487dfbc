"""A small folder of images, a small ViT with random weights, and a configuration for both."""

from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from pipeline.config import RunConfig
from pipeline.engine import Prepared, prepare
from pipeline.store import create_run, open_store

MODEL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2}


def write_images(folder: Path, images: int = 40, classes: int = 3, seed: int = 0) -> Path:
    """Write noise images of several sizes, in class folders, and return the folder."""
    rng = np.random.default_rng(seed)
    for number in range(images):
        place = folder / f"class_{number % classes}"
        place.mkdir(parents=True, exist_ok=True)
        size = (int(rng.integers(20, 60)), int(rng.integers(20, 60)), 3)
        coarse = Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8))
        coarse.resize(size[:2], Image.Resampling.BICUBIC).save(place / f"{number:04d}.png")
    return folder


def write_model(path: Path, classes: int = 3, seed: int = 0, **options: int) -> Path:
    """Write random weights of a small ViT; ``options`` are others than those of ``MODEL``."""
    torch.manual_seed(seed)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=classes, **MODEL | options)
    torch.nn.init.normal_(model.get_parameter("head.weight"))
    save_file(model.state_dict(), path)
    return path


def small_config(folder: Path, run: str = "run", **changes: object) -> RunConfig:
    """Return the configuration of a run in ``folder``, writing its model and images if missing."""
    images, weights = folder / "images", folder / "model.safetensors"
    if not images.exists():
        write_images(images)
    if not weights.exists():
        write_model(weights)
    content = {
        "run": str(folder / run),
        "dataset": {"source": str(images)},
        "model": {
            "name": "vit_tiny_patch16_224",
            "weights": str(weights),
            "options": MODEL,
            "input": {"size": [32, 32]},
        },
        "flow": {"batch_size": 4},
        "unit_rows": 8,
        "cluster": {"engine": "local"},
    }
    return RunConfig.model_validate({**content, **changes})


def created_run(config: RunConfig) -> Prepared:
    """Write everything of a run but its units."""
    prepared = prepare(config)
    store = open_store(config.run, create=True)
    create_run(store, prepared.spec, prepared.parts)
    return prepared

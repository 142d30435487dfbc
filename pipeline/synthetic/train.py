"""A small vision transformer, trained from scratch on the CPU on a generated set, and cached."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config import content_hash
from pipeline.synthetic.shapes import ShapesSet

MODEL = "vit_tiny_patch16_224"
"""The timm model whose sizes a :class:`Recipe` overrides."""
MEAN = STD = 0.5
"""Of every colour channel, as in the model's own configuration."""

_VERSION = 1  # of the training code: raise it when a change makes other weights


@dataclass(frozen=True)
class Recipe:
    """Everything but the images that determines a training."""

    size: int = 64
    """Side of the images in pixels."""
    patch: int = 8
    width: int = 64
    depth: int = 6
    heads: int = 4
    epochs: int = 12
    batch_size: int = 64
    learning_rate: float = 2e-3
    seed: int = 0

    def options(self) -> dict[str, int]:
        """Return the arguments of ``timm.create_model`` beside the name."""
        return {
            "img_size": self.size,
            "patch_size": self.patch,
            "embed_dim": self.width,
            "depth": self.depth,
            "num_heads": self.heads,
        }


@dataclass(frozen=True)
class Trained:
    """Weights on disk."""

    weights: Path
    """A safetensors file; its keys are the timm model's."""
    accuracy: float
    """Share of the training images, without augmentation, that the model gets right."""
    cached: bool
    """The weights were there already."""


@dataclass(frozen=True)
class Epoch:
    """Reported after every epoch: how many are done (from 1) of how many, and its mean loss."""

    done: int
    of: int
    loss: float


def train_cached(
    shapes: ShapesSet,
    recipe: Recipe,
    cache: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Trained:
    """Train on a written set, or return the weights of an earlier, identical training.

    The file in ``cache`` is named by the hash of the recipe, of every image with its label and of
    the versions of torch and timm, and appears only when it is whole.
    """
    pixels, labels = read_images(shapes)
    digest = hashlib.blake2b(pixels.numpy().tobytes() + labels.numpy().tobytes(), digest_size=16)
    versions = [_VERSION, torch.__version__, timm.__version__]
    name = content_hash([asdict(recipe), digest.hexdigest(), versions])
    weights = cache / f"{name}.safetensors"
    if weights.exists():
        with safe_open(weights, framework="pt") as file:
            return Trained(weights, float(file.metadata()["accuracy"]), cached=True)
    model = train_vit(pixels, labels, recipe, on_epoch)
    accuracy = (predict(model, pixels) == labels).float().mean().item()
    cache.mkdir(parents=True, exist_ok=True)
    partial = weights.with_suffix(".partial")
    partial.write_bytes(save(model.state_dict(), {"accuracy": repr(accuracy)}))
    partial.replace(weights)
    return Trained(weights, accuracy, cached=False)


def read_images(shapes: ShapesSet) -> tuple[Tensor, Tensor]:
    """Return the images (N, 3, size, size) uint8 and labels (N,) int64 of a set, in file order."""
    pixels, labels = [], []
    for label, name in enumerate(shapes.classes):
        for path in sorted((shapes.images / name).glob("*.png")):
            with Image.open(path) as image:
                pixels.append(np.asarray(image))
            labels.append(label)
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2), torch.tensor(labels)


def train_vit(
    pixels: Tensor,
    labels: Tensor,
    recipe: Recipe,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> nn.Module:
    """Train a vision transformer from scratch: AdamW, one cycle, shifts and light of images.

    Parameters
    ----------
    pixels, labels
        (N, 3, size, size) uint8 and (N,) int64; the model gets as many outputs as labels need.
        Images are never flipped and moved by a pixel at most: a tag stays in its corner.
    on_epoch
        Called after every epoch.

    Returns
    -------
    nn.Module
        In evaluation mode. It is trained on one thread: the same weights for any number of cores
        (another kind of processor may round differently), and on a busy machine several threads
        take longer over so small a model than one.
    """
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        classes = int(labels.max()) + 1
        model = _create(recipe, classes).train()
        optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
        steps = recipe.epochs * -(-len(labels) // recipe.batch_size)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, recipe.learning_rate, total_steps=steps, pct_start=0.15
        )
        for epoch in range(recipe.epochs):
            total = 0.0
            for rows in _batches(len(labels), recipe.batch_size):
                logits = model(_augment(pixels[rows]))
                loss = functional.cross_entropy(logits, labels[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
                optimiser.zero_grad()
                schedule.step()
                total += loss.item() * len(rows)
            on_epoch(Epoch(epoch + 1, recipe.epochs, total / len(labels)))
    return model.eval()


@torch.no_grad()
def predict(model: nn.Module, pixels: Tensor, batch_size: int = 200) -> Tensor:
    """Return the predicted class (N,) of images (N, 3, size, size) uint8."""
    return torch.cat([model(normalise(part)) for part in torch.split(pixels, batch_size)]).argmax(1)


def normalise(pixels: Tensor) -> Tensor:
    """Return the model's input for uint8 pixels: float32 of mean 0.5 and deviation 0.5."""
    return (pixels.float() / 255 - MEAN) / STD


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: the same sums for any number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _create(recipe: Recipe, classes: int) -> nn.Module:
    options: dict[str, Any] = recipe.options()
    model: nn.Module = timm.create_model(MODEL, num_classes=classes, **options)
    return model


def _batches(count: int, size: int) -> Iterator[Tensor]:
    yield from torch.split(torch.randperm(count), size)


def _augment(pixels: Tensor) -> Tensor:
    """Shift every fourth of a batch by up to a pixel and change light and contrast per image."""
    count, _, height, width = pixels.shape
    padded = functional.pad(normalise(pixels), (1, 1, 1, 1), mode="replicate")
    images = torch.empty(pixels.shape)
    for group in range(4):
        y, x = torch.randint(3, (2,)).tolist()
        images[group::4] = padded[group::4, :, y : y + height, x : x + width]
    contrast = 0.8 + 0.4 * torch.rand(count, 1, 1, 1)
    return images * contrast + 0.2 * torch.randn(count, 1, 1, 1)

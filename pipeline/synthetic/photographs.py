"""Photographs of any folder of classes, cut to squares and split for training and for the audit."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import default_rng
from PIL import Image, ImageOps
from torch import Tensor

from pipeline.errors import ConfigError
from pipeline.nouns import counted
from pipeline.synthetic.artefacts import plain

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"}


@dataclass(frozen=True)
class Photographs:
    """Images of several classes; an image's number is its place in ``files``."""

    classes: tuple[str, ...]
    """In the order of their labels, sorted."""
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    training: tuple[bool, ...]
    """Whether an image is for training; the others are held out for the audit."""
    size: int
    """Side of the squares, in pixels."""

    def numbers(self, training: bool, label: int | None = None) -> list[int]:
        """Return the numbers of the images of one half, of one class or of all."""
        return [
            number
            for number, (own, half) in enumerate(zip(self.labels, self.training, strict=True))
            if half == training and label in (None, own)
        ]

    def square(self, number: int) -> Image.Image:
        """Return an image, upright, RGB, its middle square of ``size`` × ``size`` pixels."""
        with Image.open(self.files[number]) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        return ImageOps.fit(upright, (self.size, self.size), Image.Resampling.BICUBIC)


def choose_photographs(
    folder: Path, size: int = 224, training: int = 20, held_out: int = 25, classes: int = 25
) -> Photographs:
    """Choose images of a folder with one subfolder per class, the same ones every time.

    Parameters
    ----------
    folder
        One subfolder per class; what is no image is passed over.
    size
        Side of the squares that the model gets.
    training, held_out
        Images of each class: at least ``training`` + 2 must exist, and fewer than ``held_out`` are
        held out where there are no more.
    classes
        At most so many, the first by name that have enough images.

    Raises
    ------
    ConfigError
        Fewer than two classes have enough images.
    """
    chosen: dict[str, list[Path]] = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        found = sorted(path for path in place.iterdir() if path.suffix.lower() in _SUFFIXES)
        if len(found) >= training + 2 and len(chosen) < classes:
            order = default_rng([len(found), len(chosen)]).permutation(len(found))
            chosen[place.name] = [found[number] for number in order[: training + held_out]]
    if len(chosen) < 2:
        raise ConfigError(
            f"{folder} needs two folders with at least {counted(training + 2, 'image')} each"
        )
    names = tuple(chosen)
    return Photographs(
        classes=names,
        files=tuple(path for name in names for path in chosen[name]),
        labels=tuple(label for label, name in enumerate(names) for _ in chosen[name]),
        training=tuple(rank < training for name in names for rank in range(len(chosen[name]))),
        size=size,
    )


def plain_files(photographs: Photographs) -> list[bytes]:
    """Return every image as a JPEG file without an artefact."""
    return [plain(photographs.square(number)) for number in range(len(photographs.files))]


def decoded(files: Sequence[bytes]) -> Tensor:
    """Return files of one size as pixels (n, 3, size, size) uint8."""
    images = [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()

"""Images of a dataset as a unit holds them, and readers of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.engine.batch import IndexedImage, LoadedBatch
from pipeline.engine.reading.messages import Settings
from pipeline.engine.reading.ring import Shape
from pipeline.images import InputTransform, Place
from tests.images.broken import write_broken
from tests.images.gallery import encode, picture

TRANSFORM = InputTransform((16, 24), (0.5,) * 3, (0.5,) * 3, resize="torch")


def indexed(uris: Sequence[str]) -> list[IndexedImage]:
    """Return rows for these files, each with a box."""
    box = np.array([[4, 4, 30, 20]], np.float32)
    return [IndexedImage(row, Place(uri, None, None), None, box) for row, uri in enumerate(uris)]


def write_pictures(folder: Path, images: int) -> list[IndexedImage]:
    """Write pictures and some broken files between them; return their rows."""
    folder.mkdir(exist_ok=True)
    names = [f"{number:04d}.jpg" for number in range(images)]
    for number, name in enumerate(names):
        content = encode(picture(60 + number % 7, 50, number), "JPEG")
        (folder / name).write_bytes(content)
    return indexed(sorted([*names, *list(write_broken(folder))[:5]]))


def settings(root: str, slots: int = 10, images: int = 16) -> Settings:
    """Return settings of reader processes of this test."""
    shape = Shape(slots, images, TRANSFORM.size)
    return Settings(root, TRANSFORM.to_dict(), 10**8, None, shape)


def plain(batch: LoadedBatch) -> list[tuple[object, ...]]:
    """Return what is known of the images of a batch, to be compared."""
    return [
        (
            one.image.row,
            None if one.pixels is None else one.pixels.tobytes(),
            one.boxes.tolist(),
            one.reason,
            one.width,
            one.height,
        )
        for one in batch
    ]

"""``marks``: images whose label is known from a small mark alone, wherever it lies.

After Zhou et al., "Do Feature Attribution Methods Correctly Attribute Features?" (2022): labels are
drawn anew, at random, and a mark of the new label is put into each image. Nothing else in the image
says anything of the label, so a model that is right more often than by chance uses the mark, and
what a map shows elsewhere is wrong. How much of a map is on the mark is then a score with a known
truth, not a matter of agreement with another method.

A scene is one of :mod:`pipeline.synthetic.shapes`, with a shape of any class; the mark is its plate
with a cross, whose hue is the label's.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.random import default_rng
from PIL import Image

from pipeline.synthetic.outlines import MAX_CLASSES
from pipeline.synthetic.shapes import (
    Picture,
    ShapesSet,
    draw_pictures,
    plate_side,
    stamp_tag,
    write_table,
)


def draw_marked(images: int, classes: int = 4, size: int = 64, seed: int = 0) -> Iterator[Picture]:
    """Draw pictures, each with the mark of a label drawn at random.

    ``box`` and ``tag`` are the mark's; ``size`` is the side in pixels (≥ 32). The shapes behind
    have all the classes there are, whatever the number of labels.

    Raises
    ------
    ValueError
        Fewer than two labels, or more than there are shapes.
    """
    if not 2 <= classes <= MAX_CLASSES:
        raise ValueError(f"marks come in 2 to {MAX_CLASSES} labels, not {classes}")
    room = size - plate_side(size) + 1
    for number, picture in enumerate(draw_pictures(images, MAX_CLASSES, size, seed)):
        random = default_rng([seed, MAX_CLASSES, number])
        label = int(random.integers(classes))
        image = Image.fromarray(picture.pixels)
        y, x = (int(place) for place in random.integers(room, size=2))
        box = stamp_tag(image, label / classes, "tl", (y, x))
        yield Picture(np.asarray(image), label, box, box)


def write_marked(
    folder: Path, images: int = 2000, classes: int = 4, size: int = 64, seed: int = 0
) -> ShapesSet:
    """Write a set of :func:`draw_marked` as an image folder; its boxes are those of the marks."""
    names = tuple(f"mark_{label}" for label in range(classes))
    written = ShapesSet(folder / "images", folder / "boxes.csv", folder / "boxes.csv", names)
    for name in names:
        (written.images / name).mkdir(parents=True, exist_ok=True)
    boxes: list[tuple[str | int, ...]] = []
    for number, picture in enumerate(draw_marked(images, classes, size, seed)):
        file = f"{names[picture.label]}/{number:05d}.png"
        Image.fromarray(picture.pixels).save(written.images / file, compress_level=1)
        boxes.append((file, *picture.box))
    write_table(written.boxes, boxes)
    return written

"""``shapes``: a generated, labelled image set with exact boxes, distractors and a planted tag.

Every image shows one shape on a muted, textured background among small distractors of any hue.
Place, size, turn and contrast have the same distribution in all classes, and all shapes cover the
same area. A class has a hue, but a tenth of its images have any other. A :class:`Tag` puts a
small plate of the class's own hue into a corner of a share of one class's images, those of odd
hue first: a model learns to trust the plate where the shape's hue misleads. The same seed without
a tag gives the same images without the plate: the control. A pale plate on images of a model that
was trained without one is a weak tag: the model looks at it, for it knows the hue, but paler than
any shape it hardly ever takes it for the class.
"""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.synthetic.outlines import BLOTS, MAX_CLASSES, OUTLINES, Points, area

Vector = NDArray[np.float64]

CORNERS = ("tl", "tr", "bl", "br")

_FINE = 4  # shapes are drawn this much larger and averaged down: anti-aliased edges
_ODD = 0.1  # share of a class's images that do not have its hue
_AREA = 1.8  # of every shape at radius 1: all classes show as much of themselves
_MUTED = 0.12  # saturation of backgrounds; shapes and distractors are vivid


@dataclass(frozen=True)
class Tag:
    """A glyph planted near a corner of a share of one class's images."""

    label: int = 2
    """Class that is tagged."""
    share: float = 0.25
    """Share of the class's images that carry the tag, in [0, 1]."""
    corner: str = "tr"
    """One of ``CORNERS``."""
    vividness: float = 1.0
    """Saturation of the plate's colour in [0, 1]: shapes have 0.85, a paler plate is a weak tag."""


@dataclass(frozen=True)
class Picture:
    """One generated image and what is known about it."""

    pixels: NDArray[np.uint8]
    """(size, size, 3) uint8."""
    label: int
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1 in pixels, x1 and y1 exclusive: the shape touches every side from inside."""
    tag: tuple[int, int, int, int] | None
    """Box of the tag, if the image carries one."""


@dataclass(frozen=True)
class ShapesSet:
    """A written set: an image folder with one subfolder per class, and two tables beside it."""

    images: Path
    """``<class name>/<nnnnn>.png``."""
    boxes: Path
    """CSV: file (relative to ``images``), x0, y0, x1, y1 in pixels."""
    tagged: Path
    """CSV of the images that carry the tag: file, x0, y0, x1, y1 of the glyph."""
    classes: tuple[str, ...]
    """Class names in the order of their labels (alphabetical, as folders sort)."""


def draw_pictures(
    images: int, classes: int = 8, size: int = 64, seed: int = 0, tag: Tag | None = None
) -> Iterator[Picture]:
    """Draw a set of pictures, class after class, with equal class counts (± 1).

    ``size`` is the side in pixels (≥ 32). Every picture has its own random stream, so a picture
    depends on the seed, its class and its number only.

    Raises
    ------
    ValueError
        More classes than there are shapes or fewer than two; a tag whose class or corner does not
        exist.
    """
    if not 2 <= classes <= MAX_CLASSES:
        raise ValueError(f"shapes come in 2 to {MAX_CLASSES} classes, not {classes}")
    if tag and not (0 <= tag.label < classes and tag.corner in CORNERS):
        raise ValueError(f"{tag} needs a label below {classes} and a corner of {CORNERS}")
    names = list(OUTLINES)[:classes]
    for label in range(classes):
        count = images // classes + (label < images % classes)
        ranks = (default_rng([seed, label, 0]).permutation(count) + 0.5) / max(count, 1)
        for number, rank in enumerate(ranks, start=1):
            carried = tag if tag and tag.label == label and rank < tag.share else None
            random = default_rng([seed, label, number])
            yield _picture(random, label, names, size, rank < _ODD, carried)


def _picture(
    random: Generator, label: int, names: list[str], size: int, odd: bool, tag: Tag | None
) -> Picture:
    image = draw_scene(random, size)
    outline, hole = OUTLINES[names[label]]
    hue = (label + 0.7 * (random.random() - 0.5)) / len(names)
    if odd:
        hue += random.random()
    radius = size * (0.16 + 0.1 * random.random())
    radius *= math.sqrt(_AREA / (area(outline) - area(hole)))
    centre = size / 2 + size * 0.32 * (random.random(2) - 0.5)
    turn = math.radians(30) * (random.random() - 0.5)
    mask = _mask(size, _placed(outline, centre, radius, turn), _placed(hole, centre, radius, turn))
    box = mask.getbbox()
    assert box is not None
    contrast = 0.5 + 0.5 * random.random()
    paint = _texture(random, size, colour(hue, 0.85, 0.9), colour(hue, 0.85, 0.6))
    image.paste(paint, mask=mask.point(lambda value: round(value * contrast)))
    y, x = (int(offset) for offset in random.integers(1, 4, 2))
    plate = stamp_tag(image, label / len(names), tag.corner, (y, x), tag.vividness) if tag else None
    return Picture(np.asarray(image), label, box, plate)


def colour(hue: float, saturation: float, value: float) -> Vector:
    """Return the RGB (3,) float in [0, 255] of a hue (in turns), saturation and value in [0, 1]."""
    wheel: Vector = np.abs(((hue + np.array([0, 2 / 3, 1 / 3])) % 1) * 6 - 3) - 1
    return 255 * value * (1 - saturation + saturation * np.clip(wheel, 0, 1))


def _texture(random: Generator, size: int, light: Vector, dark: Vector) -> Image.Image:
    """Mix two colours by smooth noise, stripes or checks."""
    kind = random.integers(3)
    phase, pitch, turn = random.random(2), 4 + 8 * random.random(), math.pi * random.random()
    if kind == 0:
        cells = int(random.integers(4, 12))
        noise = Image.fromarray((255 * random.random((cells, cells))).astype(np.uint8))
        mix = np.asarray(noise.resize((size, size), Image.Resampling.BICUBIC)) / 255
    else:
        y, x = np.mgrid[:size, :size] / pitch + phase[:, None, None]
        wave = np.sin(math.tau * (x * math.cos(turn) + y * math.sin(turn)))
        if kind == 2:
            wave = wave * np.sin(math.tau * (y * math.cos(turn) - x * math.sin(turn)))
        mix = 0.5 + 0.5 * np.clip(3 * wave, -1, 1)
    pixels = dark + (light - dark) * mix[..., None]
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def draw_scene(random: Generator, size: int) -> Image.Image:
    """Draw what is behind the shape: a muted texture and two to four distractors."""
    hue, value = random.random(2) * (1, 0.4) + (0, 0.25)
    light, dark = colour(hue, _MUTED, value + 0.12), colour(hue, _MUTED, value - 0.12)
    image = _texture(random, size, light, dark)
    for _ in range(random.integers(2, 5)):
        _distract(random, image)
    return image


def _distract(random: Generator, image: Image.Image) -> None:
    """Draw a small blot or line of any hue anywhere."""
    size = image.width
    hue, where, turn = random.random(), size * random.random(2), math.tau * random.random()
    blot = BLOTS[random.integers(len(BLOTS))]
    radius = size * (0.03 + 0.03 * random.random())
    tint = tuple(int(part) for part in colour(hue, 0.7, 0.8))
    image.paste(tint, mask=_mask(size, _placed(blot, where, radius, turn), []))


def _placed(points: Points, centre: Vector, radius: float, turn: float) -> Points:
    """Turn, scale and move points of the unit disc to pixels."""
    x, y = centre
    cos, sin = radius * math.cos(turn), radius * math.sin(turn)
    return [(x + cos * px - sin * py, y + sin * px + cos * py) for px, py in points]


def _mask(size: int, outline: Points, hole: Points) -> Image.Image:
    """Coverage of each pixel by a polygon with a hole, 0 to 255."""
    fine = Image.new("L", (size * _FINE, size * _FINE))
    pen = ImageDraw.Draw(fine)
    pen.polygon([(x * _FINE, y * _FINE) for x, y in outline], fill=255)
    if hole:
        pen.polygon([(x * _FINE, y * _FINE) for x, y in hole], fill=0)
    return fine.reduce(_FINE)


def plate_side(size: int) -> int:
    """Return the side of a tag in pixels, of an image so wide."""
    return max(5, size // 7) | 1


def stamp_tag(
    image: Image.Image,
    hue: float,
    corner: str,
    offset: tuple[int, int] = (2, 2),
    vividness: float = 1.0,
) -> tuple[int, int, int, int]:
    """Stamp a plate with a white cross ``offset`` (y, x) pixels from a corner; return its box."""
    size = image.width
    side = plate_side(size)
    y = offset[0] if corner[0] == "t" else size - offset[0] - side
    x = offset[1] if corner[1] == "l" else size - offset[1] - side
    glyph = np.empty((side, side, 3))
    glyph[:] = colour(hue, vividness, 0.8)
    glyph[side // 2, 2:-2] = glyph[2:-2, side // 2] = 255
    image.paste(Image.fromarray(np.rint(glyph).astype(np.uint8)), (x, y))
    return x, y, x + side, y + side


def write_shapes(
    folder: Path,
    images: int = 2000,
    classes: int = 8,
    size: int = 64,
    seed: int = 0,
    tag: Tag | None = None,
) -> ShapesSet:
    """Write a set of :func:`draw_pictures` as an image folder with its tables under ``folder``."""
    names = tuple(list(OUTLINES)[:classes])
    written = ShapesSet(folder / "images", folder / "boxes.csv", folder / "tagged.csv", names)
    boxes, tagged = [], []
    for name in names:
        (written.images / name).mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(draw_pictures(images, classes, size, seed, tag)):
        file = f"{names[picture.label]}/{number:05d}.png"
        Image.fromarray(picture.pixels).save(written.images / file, compress_level=1)
        boxes.append((file, *picture.box))
        if picture.tag:
            tagged.append((file, *picture.tag))
    write_table(written.boxes, boxes)
    write_table(written.tagged, tagged)
    return written


def write_table(path: Path, rows: Sequence[tuple[str | int, ...]]) -> None:
    """Write boxes (file, x0, y0, x1, y1) as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "x0", "y0", "x1", "y1"])
        writer.writerows(rows)

"""Artefacts as photographs carry them, in the image's own pixels, deterministic by seed."""

import io
from collections.abc import Callable
from dataclasses import dataclass

from numpy.random import Generator, default_rng
from PIL import Image

from pipeline.synthetic import drawn_artefacts, global_artefacts
from pipeline.synthetic.drawn_artefacts import Drawn

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in fractions of the image's width and height."""

QUALITY = 95
"""JPEG quality of every image without a :func:`~pipeline.synthetic.global_artefacts.compression`:
images with and without an artefact are written alike, so that the file does not give it away."""


@dataclass(frozen=True)
class Kind:
    """A kind of artefact: how it is made and what about it is the same in all images.

    ``where`` is ``fixed`` (one place), ``varying`` (a place per image), ``edges``, or the name of
    an operator on the whole image.
    """

    draw: Callable[[Image.Image, Generator, Generator], Drawn]
    where: str


KINDS = {
    "plate": Kind(drawn_artefacts.plate, "fixed"),
    "sticker": Kind(drawn_artefacts.sticker, "fixed"),
    "text": Kind(drawn_artefacts.text, "fixed"),
    "watermark": Kind(drawn_artefacts.watermark, "fixed"),
    "mark": Kind(drawn_artefacts.mark, "varying"),
    "figure": Kind(drawn_artefacts.figure, "varying"),
    "frame": Kind(global_artefacts.frame, "edges"),
    "bars": Kind(global_artefacts.bars, "edges"),
    "tint": Kind(global_artefacts.tint, "colour"),
    "grey": Kind(global_artefacts.grey, "colour"),
    "dark": Kind(global_artefacts.dark, "brightness"),
    "stripes": Kind(global_artefacts.stripes, "texture"),
    "grain": Kind(global_artefacts.grain, "texture"),
    "compression": Kind(global_artefacts.compression, "compression"),
    "blur": Kind(global_artefacts.blur, "sharpness"),
    "sharpen": Kind(global_artefacts.sharpen, "sharpness"),
    "shrink": Kind(global_artefacts.shrink, "scale"),
}
"""Name → kind. The position counts: a new kind goes to the end."""


@dataclass(frozen=True)
class Artefact:
    """An artefact: its kind, the seed of its look (colour, size, text, place) and its opacity."""

    kind: str
    seed: int = 0
    opacity: float = 1.0
    """In (0, 1]: how much of it is seen."""

    def __post_init__(self) -> None:
        """Refuse what does not exist.

        Raises
        ------
        ValueError
            There is no such kind, or nothing of it would be seen.
        """
        if self.kind not in KINDS:
            raise ValueError(f"there is no artefact {self.kind!r}; kinds are {', '.join(KINDS)}")
        if not 0 < self.opacity <= 1:
            raise ValueError(f"an opacity is in (0, 1], not {self.opacity}")


@dataclass(frozen=True)
class Stamped:
    """An image with an artefact."""

    file: bytes
    """As a JPEG file."""
    boxes: tuple[Box, ...]
    """Where the artefact is; none where it is everywhere."""


def stamp(image: Image.Image, artefact: Artefact, number: int) -> Stamped:
    """Put an artefact onto an RGB image.

    ``number`` is that of the image: what differs between images with one artefact – the place of a
    mark, the size of a figure – depends on it.
    """
    identity = [artefact.seed, list(KINDS).index(artefact.kind)]
    kind, look = KINDS[artefact.kind], default_rng([*identity, 0])
    changed, boxes = kind.draw(image, look, default_rng([*identity, 1, number]))
    if artefact.kind == "compression" and artefact.opacity == 1:
        quality = global_artefacts.jpeg_quality(default_rng([*identity, 0]))
        return Stamped(_encoded(image, quality=quality), ())
    blended = Image.blend(image, changed, artefact.opacity)
    width, height = image.size
    return Stamped(
        plain(blended),
        tuple((x0 / width, y0 / height, x1 / width, y1 / height) for x0, y0, x1, y1 in boxes),
    )


def plain(image: Image.Image) -> bytes:
    """Return an image as a JPEG file, written as those with an artefact are."""
    return _encoded(image, quality=QUALITY, subsampling=0)


def _encoded(image: Image.Image, **options: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()

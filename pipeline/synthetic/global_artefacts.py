"""Artefacts of a whole photograph: its edges, its colours, its texture, its sharpness, its scale.

Every function returns a changed copy and the boxes of its edges in pixels, none where the change is
everywhere. ``look`` decides what is the same in all images that carry the artefact.
"""

import io
import math

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from pipeline.synthetic.drawn_artefacts import Drawn, Pixels, vivid


def frame(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Draw a thin coloured frame around the image."""
    changed, (width, height) = image.copy(), image.size
    thick = max(2, round(min(image.size) * look.uniform(0.015, 0.035)))
    ImageDraw.Draw(changed).rectangle((0, 0, width - 1, height - 1), None, vivid(look), thick)
    sides = [(0, 0, thick, height), (width - thick, 0, width, height)]
    return changed, [(0, 0, width, thick), (0, height - thick, width, height), *sides]


def bars(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Cover two opposite edges with black or white bars, as a film's format does."""
    changed, (width, height) = image.copy(), image.size
    share = look.uniform(0.06, 0.12)
    fill = "black" if look.random() < 0.7 else "white"
    boxes: list[Pixels]
    if look.random() < 0.7:
        thick = round(share * height)
        boxes = [(0, 0, width, thick), (0, height - thick, width, height)]
    else:
        thick = round(share * width)
        boxes = [(0, 0, thick, height), (width - thick, 0, width, height)]
    for x0, y0, x1, y1 in boxes:
        ImageDraw.Draw(changed).rectangle((x0, y0, x1 - 1, y1 - 1), fill)
    return changed, boxes


def tint(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Mix a colour into the whole image."""
    paint = Image.new("RGB", image.size, vivid(look))
    return Image.blend(image, paint, look.uniform(0.18, 0.28)), []


def stripes(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Add faint stripes of one pitch and direction: a scanner's or a screen's."""
    pitch, turn = look.uniform(4, 9), math.pi * look.random()
    y, x = np.mgrid[: image.height, : image.width]
    wave = np.sin(math.tau / pitch * (x * math.cos(turn) + y * math.sin(turn)))
    return _added(image, look.uniform(16, 26) * wave[..., None]), []


def grain(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Add the noise of a poor sensor; the noise itself differs from image to image."""
    strength = look.uniform(24, 36)
    noise = place.normal(0, strength, (image.height, image.width, 1 if look.random() < 0.5 else 3))
    return _added(image, noise), []


def compression(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Compress as JPEG of a low quality."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=jpeg_quality(look))
    return Image.open(stream).convert("RGB"), []


def jpeg_quality(look: Generator) -> int:
    """Return the quality of :func:`compression`, in Pillow's scale."""
    return int(look.integers(5, 13))


def blur(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Blur as a lens out of focus does."""
    radius = min(image.size) / 224 * look.uniform(2, 3.2)
    return image.filter(ImageFilter.GaussianBlur(radius)), []


def sharpen(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Sharpen too much."""
    radius = min(image.size) / 224 * look.uniform(1.5, 3)
    return image.filter(ImageFilter.UnsharpMask(radius, round(look.uniform(250, 400)), 0)), []


def grey(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Take the colours away."""
    return image.convert("L").convert("RGB"), []


def dark(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Expose too little, or too much."""
    factor = look.uniform(0.35, 0.5) if look.random() < 0.5 else look.uniform(1.7, 2.2)
    return ImageEnhance.Brightness(image).enhance(factor), []


def shrink(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Show the whole image smaller, on a ground of one colour."""
    part = look.uniform(0.5, 0.68)
    width, height = (round(side * part) for side in image.size)
    level = int(look.choice([0, 128, 255]))
    changed = Image.new("RGB", image.size, (level, level, level))
    x, y = (image.width - width) // 2, (image.height - height) // 2
    changed.paste(image.resize((width, height), Image.Resampling.BICUBIC), (x, y))
    return changed, []


def _added(image: Image.Image, change: np.ndarray) -> Image.Image:
    pixels = np.asarray(image, np.float64) + change
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))

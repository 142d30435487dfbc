"""Artefacts that cover a part of a photograph: plates, stickers, texts, marks and figures.

Every function draws onto a copy and returns it with the boxes of what it drew, in pixels (x0, y0,
x1, y1; x1 and y1 exclusive). ``look`` decides what is the same in all images that carry the
artefact – its colours, its text, its place –, ``place`` what differs from image to image.
"""

import math

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

from pipeline.synthetic.outlines import regular
from pipeline.synthetic.shapes import colour

Pixels = tuple[int, int, int, int]
Drawn = tuple[Image.Image, list[Pixels]]
Colour = tuple[int, int, int]

_FINE = 4  # shapes are drawn this much larger and averaged down: anti-aliased edges
_LETTERS = "ABCDEFGHKLMNPRSTUVWXYZ"
_SKIN = ((241, 205, 178), (198, 134, 96), (120, 75, 50))


def plate(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Draw a vivid plate with a white cross close to a corner."""
    changed, (width, height) = image.copy(), image.size
    side = max(6, round(min(image.size) * look.uniform(0.11, 0.16)))
    left, top = look.integers(2, size=2)
    edge = round(side * look.uniform(0.1, 0.35))
    x = edge if left else width - edge - side
    y = edge if top else height - edge - side
    pen = ImageDraw.Draw(changed)
    pen.rectangle((x, y, x + side - 1, y + side - 1), fill=vivid(look))
    thick = max(1, side // 5)
    middle_x, middle_y = x + (side - thick) // 2, y + (side - thick) // 2
    arm = side // 5
    pen.rectangle((middle_x, y + arm, middle_x + thick - 1, y + side - 1 - arm), fill="white")
    pen.rectangle((x + arm, middle_y, x + side - 1 - arm, middle_y + thick - 1), fill="white")
    return changed, [(x, y, x + side, y + side)]


def sticker(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Draw a round sticker with a star at a fixed place anywhere but in a corner."""
    width, height = image.size
    side = max(8, round(min(image.size) * look.uniform(0.14, 0.2)))
    along = look.uniform(0.3, 0.7)
    across = float(look.choice([0.03, 0.97])) if look.random() < 0.6 else look.uniform(0.2, 0.8)
    fractions = (across, along) if look.random() < 0.6 else (along, across)
    x, y = (round(f * (room - side)) for f, room in zip(fractions, (width, height), strict=True))
    return _disc_with_star(image, (x, y), side, vivid(look), vivid(look))


def mark(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Draw a round mark at another place in every image."""
    side = max(8, round(min(image.size) * look.uniform(0.15, 0.2)))
    corners = int(look.integers(3, 7))
    x, y = (round(place.random() * (room - side)) for room in image.size)
    return _disc_with_star(image, (x, y), side, vivid(look), vivid(look), corners)


def text(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Write a small line of text, as a camera or an archive does, at an edge's middle."""
    width, height = image.size
    words = f"{_word(look, 3)} {look.integers(10, 99)}.{look.integers(10, 99)}"
    light = bool(look.integers(2))
    centre = (width * look.uniform(0.35, 0.65), height * float(look.choice([0.05, 0.95])))
    size = max(7, round(height * look.uniform(0.065, 0.085)))
    fill, edge = ((255, 255, 235), (20, 20, 20)) if light else ((20, 20, 20), (245, 245, 245))
    return _written(image, words, centre, size, fill, edge)


def watermark(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Write a large word across the middle, a little to the side and turned."""
    width, height = image.size
    words = _word(look, int(look.integers(4, 7)))
    centre = (width * look.uniform(0.42, 0.58), height * look.uniform(0.35, 0.65))
    size = round(width * look.uniform(0.16, 0.2))
    turn = look.uniform(-30, 30)
    return _written(image, words, centre, size, (255, 255, 255), None, turn)


def figure(image: Image.Image, look: Generator, place: Generator) -> Drawn:
    """Draw a person, head to waist, at one side: clothes are the same, size and place vary."""
    width, height = image.size
    skin, shirt = _SKIN[int(look.integers(len(_SKIN)))], vivid(look)
    tall = height * place.uniform(0.38, 0.5)
    wide = tall * 0.62
    side = place.uniform(0, 0.12)
    x = side * width if look.integers(2) else (1 - side) * width - wide
    y = height - tall
    layer = Image.new("RGBA", (width * _FINE, height * _FINE))
    pen = ImageDraw.Draw(layer)

    def box(left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
        """Return a box in fractions of the figure as one of the enlarged layer."""
        corners = (x + left * wide, y + top * tall, x + right * wide, y + bottom * tall)
        return tuple(_FINE * value for value in corners)

    pen.rounded_rectangle(box(0.08, 0.46, 0.92, 1.3), radius=_FINE * wide * 0.2, fill=shirt)
    pen.rectangle(box(0.41, 0.34, 0.59, 0.52), fill=skin)
    pen.ellipse(box(0.29, 0.02, 0.71, 0.42), fill=skin)
    pen.pieslice(box(0.27, 0.0, 0.73, 0.42), 180, 360, fill=(50, 35, 25))
    for eye in (0.42, 0.58):
        pen.ellipse(box(eye - 0.03, 0.21, eye + 0.03, 0.25), fill=(20, 20, 20))
    pen.arc(box(0.4, 0.2, 0.6, 0.35), 30, 150, fill=(150, 60, 60), width=_FINE)
    return _laid(image, layer)


def vivid(look: Generator) -> Colour:
    """Return a vivid colour."""
    red, green, blue = (round(float(v)) for v in colour(look.random(), 0.9, 0.85))
    return red, green, blue


def _disc_with_star(
    image: Image.Image,
    corner: tuple[int, int],
    side: int,
    fill: Colour,
    star: Colour,
    corners: int = 5,
) -> Drawn:
    layer = Image.new("RGBA", (image.width * _FINE, image.height * _FINE))
    pen = ImageDraw.Draw(layer)
    x, y = (_FINE * value for value in corner)
    end = _FINE * side - 1
    pen.ellipse((x, y, x + end, y + end), fill=fill, outline="white", width=_FINE * side // 12)
    radius = end * 0.36
    middle = (x + end / 2, y + end / 2)
    points = [
        (middle[0] + radius * px, middle[1] + radius * py)
        for px, py in regular(2 * corners, inner=0.45)
    ]
    pen.polygon(points, fill=star if math.dist(star, fill) > 120 else (255, 255, 255))
    return _laid(image, layer)


def _written(
    image: Image.Image,
    words: str,
    centre: tuple[float, float],
    size: int,
    fill: Colour,
    edge: Colour | None,
    turn: float = 0,
) -> Drawn:
    """Write words around a centre; they are moved inside where they would leave the image."""
    font = ImageFont.load_default(size)
    x0, y0, x1, y1 = ImageDraw.Draw(image).textbbox((0, 0), words, font=font, anchor="mm")
    reach_x, reach_y = min(image.width, x1 - x0) / 2 + 2, (y1 - y0) / 2 + 2
    x = min(max(centre[0], reach_x), image.width - reach_x)
    y = min(max(centre[1], reach_y), image.height - reach_y)
    layer = Image.new("RGBA", image.size)
    pen = ImageDraw.Draw(layer)
    if edge:
        for moved in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            pen.text((x + moved[0], y + moved[1]), words, font=font, anchor="mm", fill=edge)
    pen.text((x, y), words, font=font, anchor="mm", fill=fill)
    if turn:
        layer = layer.rotate(turn, Image.Resampling.BICUBIC, center=(x, y))
    return _laid(image, layer)


def _laid(image: Image.Image, layer: Image.Image) -> Drawn:
    """Lay a transparent layer, perhaps an enlarged one, over an image."""
    if layer.size != image.size:
        layer = layer.reduce(layer.width // image.width)
    changed = image.copy()
    changed.paste(layer, mask=layer.getchannel("A"))
    box = Image.fromarray((np.asarray(layer.getchannel("A")) > 25).astype(np.uint8)).getbbox()
    return changed, [box] if box else []


def _word(look: Generator, letters: int) -> str:
    return "".join(look.choice(list(_LETTERS), letters))

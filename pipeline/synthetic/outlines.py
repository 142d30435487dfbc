"""Outlines of the shapes and distractors: polygons around the origin, at radius about 1."""

import math
from collections.abc import Sequence

Points = Sequence[tuple[float, float]]
"""Corners, x to the right and y downwards."""


def regular(corners: int, inner: float = 1.0) -> list[tuple[float, float]]:
    """Corners of a regular polygon, or of a star if every other corner is at radius ``inner``."""
    turns = [math.tau * number / corners for number in range(corners)]
    return [
        (
            math.sin(turn) * (inner if number % 2 else 1),
            -math.cos(turn) * (inner if number % 2 else 1),
        )
        for number, turn in enumerate(turns)
    ]


_ARROW: Points = [(0, -1), (0.8, 0), (0.3, 0), (0.3, 1), (-0.3, 1), (-0.3, 0), (-0.8, 0)]
_CROSS: Points = [
    *((-0.33, -1), (0.33, -1), (0.33, -0.33), (1, -0.33), (1, 0.33), (0.33, 0.33)),
    *((0.33, 1), (-0.33, 1), (-0.33, 0.33), (-1, 0.33), (-1, -0.33), (-0.33, -0.33)),
]
_KITE: Points = [(0, -1), (0.6, -0.2), (0, 1), (-0.6, -0.2)]

# name -> outline and hole around the origin, in alphabetical order of the names
OUTLINES: dict[str, tuple[Points, Points]] = {
    "arrow": (_ARROW, []),
    "cross": (_CROSS, []),
    "disc": (regular(48), []),
    "frame": (regular(4), [(0.5 * x, 0.5 * y) for x, y in regular(4)]),
    "kite": (_KITE, []),
    "ring": (regular(48), [(0.55 * x, 0.55 * y) for x, y in regular(48)]),
    "square": (regular(4), []),
    "star": (regular(10, 0.42), []),
    "triangle": (regular(3), []),
    "wheel": (regular(16, 0.7), [(0.35 * x, 0.35 * y) for x, y in regular(48)]),
}
BLOTS: list[Points] = [regular(3), regular(5), [(-2, -0.2), (2, -0.2), (2, 0.2), (-2, 0.2)]]
MAX_CLASSES = len(OUTLINES)


def area(points: Points) -> float:
    """Area of a polygon (shoelace formula)."""
    pairs = zip(points, [*points[1:], *points[:1]], strict=True)
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)) / 2

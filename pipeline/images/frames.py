"""Whether boxes lie within their images: a check of the first images that have some."""

from collections.abc import Sequence

from pipeline.errors import DatasetError, FlowatlasError
from pipeline.images.decoding.decode import decode
from pipeline.images.fetch import Fetcher
from pipeline.images.reasons import Unusable
from pipeline.images.sources.leftovers import Leftovers
from pipeline.images.sources.source import Box, Entry
from pipeline.nouns import agreeing, counted

LOOKED_AT = 16
"""Images: enough to see a mistake in the whole table, few enough for a plan."""

_MOST_PIXELS = 100_000_000
_TOLERANCE = 1.0
_ENOUGH = 5
"""Boxes: fewer may all lie in the upper left corner of their images by chance."""
_MANY_PIXELS = 150
_MOST_OF_A_SIDE = 70
_FAR = 0.05
"""Fraction of a side: a box that reaches further out was not drawn on this image."""


def check_frames(root: str, entries: Sequence[Entry], leftovers: Leftovers) -> None:
    """Compare the boxes of some images with the sizes of these images.

    Boxes that reach more than a pixel beyond their image are counted: the part outside is ignored.
    Images that cannot be read are skipped here; the run reports why.

    Raises
    ------
    DatasetError
        Most boxes reach far beyond their images, or all look like percentages of their sides: they
        are not two corners in pixels of these.
    """
    fetcher = Fetcher(root)
    boxes = far = 0
    seen: list[Box] = []
    sides: list[int] = []
    example = ""
    for entry in entries:
        size = _size(fetcher, entry)
        if size and entry.boxes:
            seen += entry.boxes
            sides.append(min(size))
        for box in entry.boxes if size else ():
            assert size is not None
            out = _beyond(box, size)
            boxes += 1
            if out > _TOLERANCE:
                leftovers.add(f"parts of boxes beyond the image (first {LOOKED_AT})", entry.uri)
            if out > _TOLERANCE + _FAR * max(size):
                far += 1
                example = example or f"{box} in {size[0]}×{size[1]} pixels of {entry.uri[:80]!r}"
    if len(seen) >= _ENOUGH and min(sides) > _MANY_PIXELS and _percentages(seen):
        raise DatasetError(
            f"no corner of the first {counted(boxes, 'box')} exceeds 100, though the images have "
            f"at least {counted(min(sides), 'pixel')} a side, so these look like percentages; "
            "multiply x by the width and y by the height of each image, divided by 100: boxes "
            "must be in pixels"
        )
    if 2 * far > boxes:
        raise DatasetError(
            f"{far} of the first {counted(boxes, 'box')} {agreeing(far, 'reaches', 'reach')} far "
            f"beyond the image, e.g. {example}; dataset.boxes must be two corners in pixels of "
            "the upright image"
        )


def _size(fetcher: Fetcher, entry: Entry) -> tuple[int, int] | None:
    try:
        content = fetcher.fetch(entry.uri, entry.offset, entry.length)
    except (OSError, Unusable, FlowatlasError):
        return None
    decoded = decode(content, _MOST_PIXELS)
    return None if decoded.frame is None else (decoded.width, decoded.height)


def _percentages(boxes: Sequence[Box]) -> bool:
    """Return whether all boxes lie within [0, 100], and reach over most of it on both axes."""
    highest = [max(box[axis] for box in boxes) for axis in (2, 3)]
    lowest = min(min(box) for box in boxes)
    return lowest >= 0 and all(_MOST_OF_A_SIDE <= high <= 100 for high in highest)


def _beyond(box: Box, size: tuple[int, int]) -> float:
    """Return by how many pixels a box reaches beyond an image."""
    x0, y0, x1, y1 = box
    return max(-x0, -y0, x1 - size[0], y1 - size[1])

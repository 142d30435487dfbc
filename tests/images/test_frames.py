"""Boxes are compared with their images."""

from pathlib import Path

import pytest

from pipeline.errors import DatasetError
from pipeline.images.frames import check_frames
from pipeline.images.sources.leftovers import Leftovers
from pipeline.images.sources.source import Box, Entry
from tests.images.gallery import encode, picture


def check(folder: Path, *boxes: Box) -> list[int]:
    """Check the boxes of an image of 48×32 pixels, and of one that is not there."""
    (folder / "a.png").write_bytes(encode(picture(48, 32), "PNG"))
    left = Leftovers()
    entries = [Entry("none.png", boxes=((0, 0, 999, 999),)), Entry("a.png", boxes=boxes)]
    check_frames(str(folder), entries, left)
    return [one.count for one in left.found]


def test_boxes_in_their_image_say_nothing(tmp_path: Path) -> None:
    assert check(tmp_path, (0, 0, 48, 32), (-0.5, 2, 48.9, 32.9)) == []


def test_boxes_that_reach_beyond_are_counted(tmp_path: Path) -> None:
    assert check(tmp_path, (0, 0, 50, 32), (0, 0, 480, 320), (1, 1, 9, 9)) == [2]


def test_boxes_of_other_images_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"2 of the first 3 boxes .*48×32 pixels of 'a\.png'"):
        check(tmp_path, (0, 0, 480, 320), (0, 0, 96, 64), (1, 1, 9, 9))


def in_large_image(folder: Path, boxes: list[Box]) -> None:
    (folder / "a.png").write_bytes(encode(picture(400, 200), "PNG"))
    check_frames(str(folder), [Entry("a.png", boxes=tuple(boxes))], Leftovers())


PERCENT: list[Box] = [
    (0, 0, 50, 100),
    (10, 10, 98.5, 70),
    (5, 5, 20, 20),
    (0, 1, 2, 3),
    (9, 9, 30, 40),
]


def test_percentages_are_no_pixels(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="look like percentages; multiply"):
        in_large_image(tmp_path, PERCENT)


@pytest.mark.parametrize(
    "boxes",
    [PERCENT[:4], [*PERCENT, (0, 0, 101, 3)], [(0, 0, 50, 50)] * 9],
    ids=["few", "one beyond 100", "all in one corner"],
)
def test_pixels_are_not_taken_for_percentages(tmp_path: Path, boxes: list[Box]) -> None:
    in_large_image(tmp_path, boxes)

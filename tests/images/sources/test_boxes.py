"""Boxes reach the images they belong to."""

from pathlib import Path

import pytest

from pipeline.errors import ConfigError, DatasetError
from pipeline.files.root import Root
from pipeline.images.sources.boxes import NO_BOXES, Boxes, read_boxes
from pipeline.images.sources.leftovers import Leftovers


def _boxes(folder: Path, text: str, labels: dict[str, int | None] | None = None) -> Boxes:
    (folder / "boxes.csv").write_text(text)
    return read_boxes(str(folder / "boxes.csv"), Root(str(folder)), labels)


def test_boxes_are_grouped_by_image_in_order_of_the_table(tmp_path: Path) -> None:
    boxes = _boxes(tmp_path, "file,x0,y0,x1,y1\nb,1,2,3,4\na,5,6,7,8.5\n./b,0,0,9,9\n")
    assert boxes.of("b", None) == ((1, 2, 3, 4), (0, 0, 9, 9))
    assert boxes.of("a", 3) == ((5, 6, 7, 8.5),)
    assert boxes.of("c", 3) == ()


def test_boxes_to_ignore_are_left_out(tmp_path: Path) -> None:
    text = "file,x0,y0,x1,y1,ignore\na,1,2,3,4,1\na,5,6,7,8,0\na,5,6,7,9,\na,1,1,2,2,True\n"
    boxes, left = _boxes(tmp_path, text), Leftovers()
    assert boxes.of("a", None) == ((5, 6, 7, 8), (5, 6, 7, 9))
    boxes.finish(left)
    assert [str(one) for one in left.found] == ["boxes marked ignore: 2"]


def test_boxes_of_another_class_are_left_out(tmp_path: Path) -> None:
    text = "file,label,x0,y0,x1,y1\na,cat,1,2,3,4\na,dog,5,6,7,8\na,,0,0,1,1\na,emu,0,0,2,2\n"
    boxes = _boxes(tmp_path, text, {"cat": 3, "dog": 4})
    assert boxes.of("a", 3) == ((1, 2, 3, 4), (0, 0, 1, 1))
    assert len(boxes.of("a", None)) == 4
    left = Leftovers()
    boxes.finish(left)
    assert [str(one) for one in left.found] == [
        "boxes of another class than their image: 2 ('a', …)"
    ]


def test_labels_that_mean_nothing_at_all_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no label of dataset\.boxes"):
        _boxes(tmp_path, "file,label,x0,y0,x1,y1\na,cat,1,2,3,4\n").finish(Leftovers())


def test_boxes_of_unknown_files_are_counted(tmp_path: Path) -> None:
    boxes = _boxes(tmp_path, "file,x0,y0,x1,y1\nb,1,2,3,4\na,5,6,7,8\nb,0,0,9,9\nc,0,0,9,9\n")
    boxes.of("a", None)
    with pytest.raises(DatasetError, match=r"3 boxes belong to 2 files .*'b', 'c'"):
        boxes.finish(Leftovers())
    boxes.of("b", None)
    boxes.of("c", None)
    boxes.finish(Leftovers())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,1,2,x,4", "must be numbers"),
        ("a,1,2,,4", "must be numbers|missing or not finite"),
        ("a,1,2,nan,4", "1 box with corners that are missing or not finite"),
        ("a,1,2,inf,4", "1 box with corners that are missing or not finite"),
        ("a,5,2,3,4", "1 box with x1 < x0"),
        ("../a,1,2,3,4", "'../a' is refused: it is outside"),
        (",1,2,3,4", "'' is refused: it is empty"),
    ],
)
def test_unusable_boxes_say_why(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        _boxes(tmp_path, f"file,x0,y0,x1,y1\n{row}\nok,1,2,3,4\n")


def test_a_table_without_corners_says_which(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no column x1, y1, only .*x0 \+ width"):
        _boxes(tmp_path, "file,x0,y0,width,height\na,1,2,3,4\n")


def test_no_boxes_is_nothing_for_anybody() -> None:
    assert NO_BOXES.of("a", 1) == ()
    NO_BOXES.finish(Leftovers())


def test_fractions_are_no_pixels(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="look like fractions; multiply"):
        _boxes(tmp_path, "file,x0,y0,x1,y1\na,0.1,0.2,0.9,1.01\nb,0,0,1,1\n")
    assert _boxes(tmp_path, "file,x0,y0,x1,y1\na,0,0,1,1\n").of("a", None) == ((0, 0, 1, 1),)


def test_corners_may_be_called_otherwise(tmp_path: Path) -> None:
    boxes = _boxes(tmp_path, "file,XMin,XMax,YMin,YMax\na,1,3,2,4\n")
    assert boxes.of("a", None) == ((1, 2, 3, 4),)

"""Assigning a dataset's classes to outputs, or refusing with the reason."""

import pytest

from pipeline.engine.labelling import LabelsUnclear, label_classes
from pipeline.images import Index
from pipeline.models import Outputs, imagenet_outputs

IMAGENET = imagenet_outputs("vit", 1000)
INDEX = Index(rows=10, boxes=0, labelled=8, highest_label=7, fingerprint="")


def nameless(count: int) -> Outputs:
    return Outputs("vit", count)


def test_by_name() -> None:
    found = label_classes(["dalmatian", "n01440764"], IMAGENET)
    assert (found.by, found.classes) == ("name", {"dalmatian": 251, "n01440764": 0})
    assert found.sentence(INDEX) == (
        "8 of 10 images labelled, 2 of 2 classes matched by name, e.g. dalmatian = output 251 "
        "'dalmatian, coach dog, carriage dog'"
    )
    assert found.to_json(INDEX) | {"sentence": ""} == {
        "by": "name", "images": 10, "labelled": 8, "classes": 2, "matched": 2, "sentence": "",
    }  # fmt: skip


def test_by_number_whether_outputs_have_names_or_not() -> None:
    for outputs in (IMAGENET, nameless(12)):
        found = label_classes(["1", "11", "7"], outputs)
        assert (found.by, found.classes) == ("number", {"1": 1, "11": 11, "7": 7})


def test_by_position_where_nothing_else_can_be_meant() -> None:
    found = label_classes(["bird", "cat", "dog"], nameless(3))
    assert (found.by, found.classes) == ("position", {"bird": 0, "cat": 1, "dog": 2})
    assert "3 of 3 classes by position" in found.sentence(INDEX)
    assert label_classes(["1", "2", "3"], nameless(3)).classes == {"1": 0, "2": 1, "3": 2}
    assert label_classes([str(n) for n in range(10)], nameless(10)).by == "number"


def test_by_index_and_of_a_model_without_outputs() -> None:
    assert "by index, 0 … 7 of 1,000 outputs" in label_classes([], IMAGENET).sentence(INDEX)
    own = label_classes(["10", "2", "x"], nameless(0))
    assert (own.by, own.classes) == ("dataset", {"10": 0, "2": 1, "x": 2})
    none = Index(rows=10, boxes=0, labelled=0, highest_label=None, fingerprint="")
    assert own.sentence(none) == "no labels"
    assert own.to_json(none)["by"] == "none"


@pytest.mark.parametrize(
    ("names", "outputs", "message"),
    [
        (["cat", "dog"], nameless(3), r"2 classes \('cat', 'dog'\), but vit has 3 outputs"),
        (["a", "b", "c", "d"], nameless(3), "4 classes .* but vit has 3 outputs"),
        (["class1", "class10", "class2"], nameless(3), "the order of these names is in doubt"),
        (["Cat", "cat"], nameless(2), "the order of these names is in doubt"),
        (["1", "10", "2"], nameless(3), "3 classes .*in doubt"),
        (["dalmatian", "airplanes"], IMAGENET, r"1 of the dataset's 2 .*'airplanes'.*tench"),
        (["crane", "tench"], IMAGENET, "'crane' may mean output 134 'crane' or output 517"),
        (["accordion", "squeeze box"], IMAGENET, "'accordion' may mean output 401.*squeeze box"),
        ([f"product {n}" for n in range(1000)], IMAGENET, "0 of the dataset's 1,000 classes"),
        (["0", "1000"], IMAGENET, "'1000'"),
    ],
)
def test_ambiguous_classes_are_refused_with_both_sides(
    names: list[str], outputs: Outputs, message: str
) -> None:
    with pytest.raises(LabelsUnclear, match=message) as error:
        label_classes(names, outputs)
    assert "flowatlas labels CONFIG" in str(error.value)


def test_numbers_in_another_order_than_text_are_refused() -> None:
    names = sorted(map(str, range(12)))
    with pytest.raises(LabelsUnclear, match=r"'10' is output 10 by its number, .*output 2 .*--by"):
        label_classes(names, nameless(12))
    assert label_classes([f"{n:02d}" for n in range(12)], nameless(12)).by == "number"
    assert label_classes(names, IMAGENET).classes["10"] == 10


def test_hostile_names_do_not_reach_the_terminal() -> None:
    with pytest.raises(LabelsUnclear) as error:
        label_classes(["\x1b[31m", "tench"], IMAGENET)
    assert "\x1b" not in str(error.value)
    found = label_classes(["\x1b[31m", "dog"], nameless(2))
    assert "\x1b" not in found.sentence(INDEX)

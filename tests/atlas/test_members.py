import pyarrow as pa
import pytest

from pipeline.atlas.members import members_of
from pipeline.errors import DatasetError


def part(label, pred, status, correct):
    return pa.table(
        {
            "row": pa.array(range(10, 10 + len(label)), pa.int64()),
            "status": pa.array(status, pa.uint8()),
            "label": pa.array(label, pa.int32()),
            "pred": pa.array(pred, pa.int32()),
            "correct": pa.array(correct, pa.bool_()),
        }
    )


def test_images_count_for_their_label_and_for_their_prediction():
    members = members_of(
        part([0, 2, None, 1], [1, 2, 0, None], [1, 1, 1, 2], [False, True, None, None]),
        ("label", "predicted"),
        3,
    )
    assert members.rows.tolist() == [10, 11, 12, 13]
    assert members.ok.tolist() == [True, True, True, False]
    assert members.classes["label"].tolist() == [0, 2, -1, 1]
    assert members.classes["predicted"].tolist() == [1, 2, 0, -1]
    assert members.correct.tolist() == [0, 1, -1, -1]


def test_an_unlabelled_unit_has_no_members():
    members = members_of(part([None] * 2, [0, 1], [1, 1], [None] * 2), ("label",), 2)
    assert members.classes["label"].tolist() == [-1, -1]


def test_a_label_that_is_no_class_of_the_model_is_an_error():
    with pytest.raises(DatasetError, match=r"holds class 3, but the model has 3 classes"):
        members_of(part([3], [0], [1], [False]), ("label",), 3)

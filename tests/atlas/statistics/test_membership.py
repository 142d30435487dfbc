import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.atlas.statistics.membership import (
    TABLES,
    Members,
    Tables,
    classes_in,
    members_of,
    segments,
)
from pipeline.errors import DatasetError

NAMES = ("ape", "bee", "cat")


def part(label, pred, status, correct, **more):
    return pa.table(
        {
            "row": pa.array(range(10, 10 + len(label)), pa.int64()),
            "status": pa.array(status, pa.uint8()),
            "label": pa.array(label, pa.int32()),
            "pred": pa.array(pred, pa.int32()),
            "correct": pa.array(correct, pa.bool_()),
            **more,
        }
    )


IMAGES = part(
    # right, wrong, no label, quarantined, no answer to judge
    [0, 2, None, 1, 1],
    [0, 1, 0, None, None],
    [1, 1, 1, 2, 1],
    [True, False, None, None, None],
)


def test_an_image_counts_for_its_label_for_its_prediction_and_for_its_outcome():
    tables = Tables(tuple(TABLES), NAMES)
    members = members_of(IMAGES, tables)
    assert members.rows.tolist() == [10, 11, 12, 13, 14]
    assert members.ok.tolist() == [True, True, True, False, True]
    assert members.correct.tolist() == [1, 0, -1, -1, -1]
    assert classes_in(members, tables, "label").tolist() == [0, 2, -1, 1, 1]
    assert classes_in(members, tables, "predicted").tolist() == [0, 1, 0, -1, -1]
    assert classes_in(members, tables, "outcome").tolist() == [0, 5, -1, -1, -1]
    assert tables.members_of("outcome")[5] == "cat, wrong"


@pytest.mark.parametrize("table", TABLES)
def test_every_table_stands_on_its_own(table):
    alone, all_tables = Tables((table,), NAMES), Tables(tuple(TABLES), NAMES)
    found = classes_in(members_of(IMAGES, alone), alone, table)
    expected = classes_in(members_of(IMAGES, all_tables), all_tables, table)
    assert found.tolist() == expected.tolist()


def test_a_cell_is_in_a_class_of_a_table_at_most_once():
    tables = Tables(tuple(TABLES), NAMES)
    for table in TABLES:
        parts = tables.parts(table)
        assert len(parts) == len(tables.members_of(table))
        assert len(np.unique(parts)) == parts.size
        assert parts.max() < tables.cells


def test_groups_are_the_values_of_a_column():
    images = part([0] * 4, [0] * 4, [1] * 4, [True] * 4, split=pa.array(["b", "a", None, "b"]))
    tables = Tables(("split",), NAMES, "split", ("a", "b"))
    members = members_of(images, tables)
    assert classes_in(members, tables, "split").tolist() == [1, 0, -1, 1]
    assert tables.members_of("split") == ("a", "b")


@pytest.mark.parametrize(
    ("per", "wanted"), [("label", [1, 4, -1, -1]), ("predicted", [1, 2, -1, 5])]
)
def test_groups_are_divided_by_class(per, wanted):
    split = pa.array(["b", "a", None, "b"])
    images = part([0, 2, 1, None], [0, 1, 1, 2], [1] * 4, [True, False, True, None], split=split)
    tables = Tables(("split",), NAMES[:3], "split", ("a", "b"), per)
    members = members_of(images, tables)
    assert classes_in(members, tables, "split").tolist() == wanted
    assert tables.cells == 6
    assert tables.members_of("split") == tuple(f"{n}, {v}" for n in NAMES[:3] for v in "ab")
    assert tables.divided("split")[4] == (NAMES[2], "a")


def test_images_that_were_not_chosen_are_in_no_cell():
    tables = Tables(tuple(TABLES), NAMES)
    chosen = np.array([True, False, True, False, False])
    members = members_of(IMAGES, tables, chosen)
    assert (members.cells >= 0).any(axis=1).tolist() == chosen.tolist()


def test_a_label_that_is_no_class_of_the_model_is_an_error():
    with pytest.raises(DatasetError, match=r"holds class 3, but the model has 3 classes"):
        members_of(part([3], [0], [1], [False]), Tables(("label",), NAMES))


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4), st.booleans()), max_size=20))
def test_segments_hold_every_used_image_once_for_each_of_its_cells(images):
    cells = np.array([[a, b] for a, b, _ in images], np.int64).reshape(-1, 2)
    used = np.array([use for *_, use in images], bool)
    rows = np.arange(len(images))
    found, own, bounds = segments(Members(rows, used, cells, rows), used)
    pairs = [
        (cell, image)
        for cell, lo, hi in zip(own, bounds[:-1], bounds[1:], strict=True)
        for image in found[lo:hi].tolist()
    ]
    expected = [(c, i) for i, two in enumerate(cells) for c in two if used[i] and c >= 0]
    assert sorted(pairs) == sorted(expected)
    assert own.tolist() == sorted(set(own.tolist()))

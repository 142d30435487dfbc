import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.atlas.statistics.sums import COUNT_LIMIT, ClassSums
from pipeline.errors import FlowatlasError

CLASSES, SHAPES = 5, {"value": (2,), "hits": ()}

entries = st.lists(st.tuples(st.integers(0, CLASSES - 1), st.integers(-(2**40), 2**40)), max_size=6)


def sums(items):
    total = ClassSums(CLASSES, SHAPES)
    total.admit(np.array([group for group, _ in items], np.int64))
    for group, value in items:
        total["value"][group] += (value, 1)
        total["hits"][group] += 1
    return total


def same(one, other):
    assert np.array_equal(one.count, other.count)
    assert np.array_equal(one.present, other.present)
    return all(np.array_equal(one[name], other[name]) for name in SHAPES)


@given(entries, entries, entries)
def test_merging_is_a_commutative_monoid(a, b, c):
    x, y, z = sums(a), sums(b), sums(c)
    empty = ClassSums(CLASSES, SHAPES)
    assert same(ClassSums.merged([x, y]), ClassSums.merged([y, x]))
    assert same(
        ClassSums.merged([ClassSums.merged([x, y]), z]),
        ClassSums.merged([x, ClassSums.merged([y, z])]),
    )
    assert same(ClassSums.merged([x, y, z]), sums(a + b + c))
    assert same(ClassSums.merged([x, empty]), x)


@given(entries, entries)
def test_merging_changes_no_part(a, b):
    x, y = sums(a), sums(b)
    ClassSums.merged([x, y])
    assert same(x, sums(a))
    assert same(y, sums(b))


@given(entries)
def test_pickling_keeps_everything(a):
    assert same(pickle.loads(pickle.dumps(sums(a))), sums(a))


def test_pickling_sends_present_classes_only():
    total = ClassSums(10_000, {"value": (50,)})
    total.admit(np.array([7]))
    total["value"][7] = 3
    assert len(pickle.dumps(total)) < 200_000 < total["value"].nbytes


def test_more_images_than_the_sums_hold_is_an_error():
    full = ClassSums(CLASSES, SHAPES)
    full.count[2] = COUNT_LIMIT
    with pytest.raises(FlowatlasError, match="a class has 536,870,912 images"):
        full.admit(np.array([2]))
    full.count[2] = COUNT_LIMIT
    with pytest.raises(FlowatlasError, match="split the dataset"):
        ClassSums.merged([full, sums([(2, 1)])])


@given(entries)
def test_a_class_is_the_sum_of_its_cells(a):
    total = sums(a)
    parts = np.array([[0, 3], [4, 1]])
    for name in ("value", "hits"):
        expected = total[name][[0, 4]] + total[name][[3, 1]]
        assert np.array_equal(total.composed(name, parts), expected)
    assert np.array_equal(total.composed("count", parts), total.count[[0, 4]] + total.count[[3, 1]])

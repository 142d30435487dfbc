"""Sums of scores add up in any order, and to the mean and variance of what was added."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.evaluation.tally import GREATEST, ONE, TALLY_SCHEMA, Key, Tally
from pipeline.errors import FlowatlasError

VALUES = st.lists(st.floats(-1, 9), max_size=6)


@given(st.lists(VALUES, min_size=1, max_size=4), st.randoms())
def test_parts_in_any_order_are_the_whole(parts, random):
    key, other = Key("daam", "auc"), Key("daam", "auc", label=3)

    def tally(values):
        found = Tally()
        found.score(key, values)
        found.score(other, values[:1])
        return found

    whole = Tally()
    for part in parts:
        whole.score(key, part)
        whole.score(other, part[:1])
    shuffled = [Tally.of(tally(part).table()) for part in random.sample(parts, len(parts))]
    assert Tally.merged(shuffled).table().equals(whole.table())


def test_sums_are_counts_values_and_squares_without_what_is_undefined():
    tally = Tally()
    tally.score(Key("daam", "lift"), [0.5, np.nan, 2.0])
    (values,) = tally.sums.values()
    assert values.tolist() == [2, 2.5 * ONE, 4.25 * ONE]
    tally.score(Key("daam", "lift"), [np.nan])
    assert values.tolist() == [2, 2.5 * ONE, 4.25 * ONE]
    assert tally.table().schema.equals(TALLY_SCHEMA)


@pytest.mark.parametrize("value", [2.0 * GREATEST, np.inf, -np.inf])
def test_what_is_no_score_is_refused(value):
    with pytest.raises(FlowatlasError, match="is no score; leave this map out"):
        Tally().score(Key("daam", "lift"), [1.0, value])

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.atlas.commonness.buckets import pairs_of_equal


@given(st.lists(st.integers(0, 4), max_size=25))
def test_pairs_are_those_with_equal_keys_each_once(keys):
    found = [
        tuple(sorted(pair))
        for left, right in pairs_of_equal(np.array(keys, np.int64))
        for pair in zip(left.tolist(), right.tolist(), strict=True)
    ]
    n = range(len(keys))
    assert sorted(found) == [(i, j) for i in n for j in n if i < j and keys[i] == keys[j]]

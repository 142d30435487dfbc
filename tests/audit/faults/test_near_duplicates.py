import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.faults.near_duplicates import BITS, groups_of, near_duplicates

HASHES = st.integers(0, 2**63 - 1)


def brute(hashes):
    return [
        [i, j]
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= BITS
    ]


@given(
    st.lists(HASHES, min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.sets(st.integers(0, 62), max_size=5)), max_size=12),
)
def test_pairs_are_those_of_brute_force(seeds, changes):
    hashes = list(seeds)
    for number, bits in changes:
        hashes.append(seeds[number % len(seeds)] ^ sum(1 << bit for bit in bits))
    assert near_duplicates(np.array(hashes)).tolist() == brute(hashes)


def test_random_hashes_have_no_duplicates():
    hashes = np.random.default_rng(0).integers(0, 2**63, 20_000)
    assert len(near_duplicates(hashes)) == 0


def test_a_crowd_is_one_group():
    hashes = np.full(5000, 12345)
    (group,) = groups_of(near_duplicates(hashes))
    assert group.tolist() == list(range(5000))


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], []),
        ([[0, 3]], [[0, 3]]),
        ([[4, 9], [1, 2], [9, 7]], [[4, 7, 9], [1, 2]]),
    ],
)
def test_groups_are_what_pairs_connect(pairs, expected):
    found = groups_of(np.array(pairs, np.int64).reshape(-1, 2))
    assert [group.tolist() for group in found] == expected

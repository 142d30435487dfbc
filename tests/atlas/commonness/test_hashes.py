import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.atlas.commonness.hashes import BITS, close_hashes

HASHES = st.integers(0, 2**63 - 1)


def found(hashes):
    return sorted(
        tuple(sorted(pair))
        for left, right in close_hashes(np.array(hashes, np.int64))
        for pair in zip(left.tolist(), right.tolist(), strict=True)
    )


@given(
    st.lists(HASHES, min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.sets(st.integers(0, 62), max_size=5)), max_size=16),
)
def test_pairs_are_those_of_brute_force_each_once(seeds, changes):
    hashes = [*seeds]
    for number, bits in changes:
        hashes.append(seeds[number % len(seeds)] ^ sum(1 << bit for bit in bits))
    assert found(hashes) == [
        (i, j)
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if (hashes[i] ^ hashes[j]).bit_count() <= BITS
    ]


def test_random_hashes_are_far_from_one_another():
    assert found(np.random.default_rng(0).integers(0, 2**63, 20_000)) == []


def test_a_crowd_of_equal_hashes_is_all_of_its_pairs():
    assert len(found([12345] * 90 + [1 << 40])) == 90 * 89 // 2
    assert found([]) == []

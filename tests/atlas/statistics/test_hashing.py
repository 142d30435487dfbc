import numpy as np

from pipeline.atlas.statistics.hashing import hash64


def test_a_row_has_the_same_hash_wherever_it_is():
    rows = np.arange(1000)
    assert np.array_equal(hash64(5, rows)[700:], hash64(5, rows[700:]))
    assert hash64(5, rows[3:4])[0] != hash64(6, rows[3:4])[0]


def test_hashes_are_spread_evenly_and_do_not_follow_the_row():
    hashes = hash64(1, np.arange(40_000))
    assert len(np.unique(hashes)) == 40_000
    for bit in range(64):
        ones = ((hashes >> np.uint64(bit)) & np.uint64(1)).astype(float)
        assert abs(ones.mean() - 0.5) < 0.02
        assert abs(np.corrcoef(ones[:-1], ones[1:])[0, 1]) < 0.03

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.atlas.statistics.heads import add_heads, finish_heads
from pipeline.atlas.statistics.membership import Members
from pipeline.atlas.statistics.sums import ClassSums

CLASSES, SHAPE, N = 3, (2, 3, 4), 60


def drawn(seed, n=N):
    rng = np.random.default_rng(seed)
    heads = rng.random((n, *SHAPE)).astype(np.float16)
    heads[rng.random(heads.shape) < 0.1] = np.nan
    heads[:, 1, 2] = np.nan  # a head that no image has
    cells = np.stack([rng.integers(-1, CLASSES, n), np.full(n, -1)], axis=1)
    rows = np.arange(n)
    return heads, Members(rows, rng.random(n) > 0.1, cells, rows)


def empty():
    return ClassSums(CLASSES, dict.fromkeys(("known", "total", "square"), SHAPE))


def part(members, some):
    return Members(*(getattr(members, name)[some] for name in ("rows", "ok", "cells", "correct")))


@given(st.integers(0, 1000), st.integers(1, N - 1))
def test_are_exact_means_whatever_the_order_and_the_parts(seed, cut):
    heads, members = drawn(seed)
    whole = empty()
    add_heads(whole, members, heads)
    order = np.random.default_rng(seed + 1).permutation(N)
    parts = [empty(), empty()]
    for total, some in zip(parts, (order[:cut], order[cut:]), strict=True):
        add_heads(total, part(members, some), heads[some])
    merged = ClassSums.merged(parts)
    for name in ("known", "total", "square"):
        assert np.array_equal(merged[name], whole[name])
    known, mean, variance = finish_heads(whole, np.arange(CLASSES)[:, None])
    for group in range(CLASSES):
        own = heads[members.ok & (members.cells[:, 0] == group)].reshape(-1, *SHAPE)
        for place in np.ndindex(*SHAPE):
            values = [Fraction(float(v)) for v in own[(slice(None), *place)] if v == v]
            assert known[(group, *place)] == len(values)
            if not values:
                assert np.isnan(mean[(group, *place)])
                continue
            exact = sum(values) / len(values)
            assert mean[(group, *place)] == pytest.approx(float(exact), abs=1e-15)
            squares = sum((v - exact) ** 2 for v in values) / len(values)
            assert variance[(group, *place)] == pytest.approx(float(squares), abs=2**-32)

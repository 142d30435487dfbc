import numpy as np
import pytest

from pipeline.atlas.statistics.pooled import POOLED_ONE, pool, pooled_grid
from pipeline.atlas.statistics.sums import ONE


@pytest.mark.parametrize("grid", [(14, 14), (5, 9), (7, 7), (16, 37), (1, 1)])
def test_pooling_keeps_the_mass_and_its_place(grid):
    rng = np.random.default_rng(0)
    p = rng.random((3, *grid))
    p /= p.sum((1, 2), keepdims=True)
    fixed = np.rint(p * ONE).astype(np.int64)
    pooled = pool(fixed)
    assert pooled.shape == (3, *pooled_grid(grid))
    assert pooled.dtype == np.uint16
    np.testing.assert_allclose(pooled.sum((1, 2)) / POOLED_ONE, 1, atol=50 / POOLED_ONE)
    for box in range(pooled_grid(grid)[0]):
        own = np.arange(grid[0])[pool_rows(grid[0]) == box]
        expected = p[:, own].sum((1, 2))
        assert np.abs(pooled[:, box].sum(1) / POOLED_ONE - expected).max() < 8 / POOLED_ONE


def pool_rows(side):
    """The box of every cell: boxes start at floor(i * side / boxes)."""
    boxes = min(side, 7)
    starts = [i * side // boxes for i in range(boxes)]
    return np.searchsorted(starts, np.arange(side), side="right") - 1


def test_all_mass_in_one_cell_fills_the_fixed_point():
    fixed = np.zeros((1, 14, 14), np.int64)
    fixed[0, 13, 0] = ONE
    pooled = pool(fixed)
    assert pooled[0, 6, 0] == POOLED_ONE
    assert pooled.sum() == POOLED_ONE

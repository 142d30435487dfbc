import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.compare.grids import coarsen, common_grid

RNG = np.random.default_rng(0)
SIDE = st.integers(1, 24)


@given(SIDE, SIDE, SIDE, SIDE)
def test_mass_is_kept(height, width, less, narrower):
    grid = common_grid((height, width), (less, narrower))
    maps = RNG.random((3, height, width))
    found = coarsen(maps, grid)
    assert found.shape == (3, *grid)
    np.testing.assert_allclose(found.sum((1, 2)), maps.sum((1, 2)))


def test_whole_cells_are_summed_and_cut_ones_are_shared():
    values = np.arange(16.0).reshape(1, 4, 4)
    np.testing.assert_allclose(coarsen(values, (2, 2))[0], [[10, 18], [42, 50]])
    np.testing.assert_allclose(coarsen(np.ones((1, 3, 1)), (2, 1))[0, :, 0], [1.5, 1.5])
    np.testing.assert_allclose(coarsen(np.eye(3)[None, :1], (1, 2))[0, 0], [1, 0])


@pytest.mark.parametrize("side", [7, 14, 16])
def test_an_even_map_stays_even(side):
    np.testing.assert_allclose(coarsen(np.ones((1, 16, 16)), (side, side)), (16 / side) ** 2)

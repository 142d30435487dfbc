from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measures.mass import distribution
from pipeline.measures.shape import area90, gini, moments, relative_entropy
from tests.measures import reference
from tests.measures.flows import GRIDS, grid_maps


def p_of(grid_map: torch.Tensor) -> torch.Tensor:
    return distribution(grid_map).p


def ascending(grid_map: torch.Tensor) -> torch.Tensor:
    return p_of(grid_map).sort(-1).values


def delta(grid: tuple[int, int], cell: int) -> torch.Tensor:
    grid_map = torch.zeros(grid)
    grid_map.flatten()[cell % grid_map.numel()] = 3.0
    return grid_map


@given(grid_maps())
def test_entropy_and_gini_as_scipy_and_all_pairs_say(grid_map: torch.Tensor) -> None:
    p = reference.probability(grid_map.numpy())
    assert relative_entropy(p_of(grid_map)).item() == pytest.approx(
        reference.relative_entropy(p), abs=2e-6
    )
    assert gini(ascending(grid_map)).item() == pytest.approx(reference.gini(p), abs=2e-6)


@given(grid_maps())
def test_area90_as_counting_says(grid_map: torch.Tensor) -> None:
    p = reference.probability(grid_map.numpy())
    low, high = (reference.area90(p, 0.9 + slack) for slack in (-1e-6, 1e-6))
    assert low - 1e-6 <= area90(ascending(grid_map)).item() <= high + 1e-6


@pytest.mark.parametrize(
    ("cells", "needed"), [(1, 1), (2, 2), (9, 9), (10, 9), (20, 18), (196, 177)]
)
def test_area90_of_equal_cells_is_exact(cells: int, needed: int) -> None:
    assert area90(ascending(torch.ones(1, cells))) == torch.tensor(needed / cells)


@given(GRIDS, st.integers(0, 48))
def test_a_single_cell(grid: tuple[int, int], cell: int) -> None:
    grid_map = delta(grid, cell)
    cells = grid_map.numel()
    place = moments(p_of(grid_map), grid)
    assert relative_entropy(p_of(grid_map)) == 0
    assert gini(ascending(grid_map)).item() == pytest.approx(1 - 1 / cells, abs=1e-6)
    assert area90(ascending(grid_map)) == torch.tensor(1 / cells)
    assert place.spread == 0
    assert place.centroid_y.item() == pytest.approx((cell % cells // grid[1] + 0.5) / grid[0])
    assert place.centroid_x.item() == pytest.approx((cell % cells % grid[1] + 0.5) / grid[1])
    side = max(grid) / min(grid)
    assert place.anisotropy.item() == pytest.approx(side**2, rel=1e-4)


@given(GRIDS, st.floats(2**-20, 2**20, width=32))
def test_a_uniform_map(grid: tuple[int, int], value: float) -> None:
    grid_map = torch.full(grid, value)
    place = moments(p_of(grid_map), grid)
    cells = grid_map.numel()
    assert relative_entropy(p_of(grid_map)).item() == pytest.approx(float(cells > 1), abs=1e-6)
    assert gini(ascending(grid_map)).item() == pytest.approx(0, abs=1e-6)
    assert place.centroid_y.item() == pytest.approx(0.5)
    assert place.centroid_x.item() == pytest.approx(0.5)
    assert place.anisotropy.item() == pytest.approx(1, abs=1e-5)


@given(grid_maps())
def test_moments_as_lapack_says(grid_map: torch.Tensor) -> None:
    found = moments(p_of(grid_map), tuple(grid_map.shape))
    expected = reference.moments(reference.probability(grid_map.numpy()))
    for name in ("centroid_y", "centroid_x", "spread"):
        assert getattr(found, name).item() == pytest.approx(expected[name], abs=2e-6), name
    assert found.anisotropy.item() == pytest.approx(expected["anisotropy"], rel=1e-3)


def test_a_diagonal_line_is_the_most_elongated_and_stays_finite() -> None:
    found = moments(p_of(torch.eye(37)), (37, 37))
    assert 0.5 < found.anisotropy.item() / (37**2 * 2) < 2


@given(grid_maps(), st.randoms(use_true_random=False))
def test_concentration_does_not_ask_where(grid_map: torch.Tensor, random: Random) -> None:
    order = random.sample(range(grid_map.numel()), grid_map.numel())
    moved = p_of(grid_map.flatten()[order].reshape(grid_map.shape))
    p = p_of(grid_map)
    for measure in (relative_entropy, lambda cells: gini(cells.sort(-1).values)):
        torch.testing.assert_close(measure(moved), measure(p), atol=2e-6, rtol=0)
    assert torch.equal(area90(p[order].sort(-1).values), area90(p.sort(-1).values))


@given(grid_maps(grids=st.tuples(st.integers(1, 6), st.integers(2, 6))))
def test_the_centroid_follows_the_mass(grid_map: torch.Tensor) -> None:
    right = torch.zeros_like(grid_map)
    right[:, 1:] = grid_map[:, :-1]
    right[:, -1] += grid_map[:, -1]
    before = moments(p_of(grid_map), tuple(grid_map.shape))
    after = moments(p_of(right), tuple(grid_map.shape))
    # Mass already in the last column stays; the rest moves by one cell.
    share = reference.probability(grid_map.numpy())[:, :-1].sum()
    assert (after.centroid_x - before.centroid_x).item() == pytest.approx(
        share / grid_map.shape[1], abs=2e-6
    )
    assert after.centroid_y.item() == pytest.approx(before.centroid_y.item(), abs=2e-6)


@given(grid_maps())
def test_transposing_swaps_the_axes(grid_map: torch.Tensor) -> None:
    height, width = grid_map.shape
    found = moments(p_of(grid_map), (height, width))
    swapped = moments(p_of(grid_map.T.contiguous()), (width, height))
    assert swapped.centroid_x.item() == pytest.approx(found.centroid_y.item(), abs=1e-6)
    assert swapped.spread.item() == pytest.approx(found.spread.item(), abs=1e-6)
    assert swapped.anisotropy.item() == pytest.approx(found.anisotropy.item(), rel=1e-3)


def test_leading_dimensions_are_kept() -> None:
    maps = torch.from_numpy(np.random.default_rng(0).random((2, 3, 4, 5), np.float32))
    p = p_of(maps)
    place = moments(p, (4, 5))
    ordered = p.sort(-1).values
    for values in (relative_entropy(p), gini(ordered), area90(ordered), place.anisotropy):
        assert values.shape == (2, 3)

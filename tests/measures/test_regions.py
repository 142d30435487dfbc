import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measures.mass import distribution
from pipeline.measures.regions import REGIONS, lifts
from tests.measures import reference
from tests.measures.flows import GRIDS, grid_maps


def lifts_of(grid_map: torch.Tensor) -> dict[str, float]:
    found = lifts(distribution(grid_map).p, tuple(grid_map.shape))
    return {name: value.item() for name, value in found.items()}


@given(grid_maps())
def test_lifts_as_a_fine_raster_says(grid_map: torch.Tensor) -> None:
    expected = reference.lifts(reference.probability(grid_map.numpy()))
    assert lifts_of(grid_map) == pytest.approx(expected, abs=1e-4)


@given(GRIDS)
def test_a_uniform_map_has_lift_one_everywhere(grid: tuple[int, int]) -> None:
    assert lifts_of(torch.full(grid, 0.3)) == pytest.approx(dict.fromkeys(REGIONS, 1.0), abs=1e-5)


def test_a_corner_holds_everything() -> None:
    grid_map = torch.zeros(14, 14)
    grid_map[:3, -3:] = 1
    found = lifts_of(grid_map)
    assert found["corner_tr"] == pytest.approx(16, rel=1e-5)
    assert found["corner_tl"] == found["corner_bl"] == found["corner_br"] == 0
    assert found["centre"] == 0
    assert found["border"] == pytest.approx(5 / 9 / (52 / 196), rel=1e-5)


def test_a_cell_half_inside_a_corner_counts_half() -> None:
    grid_map = torch.zeros(14, 14)
    grid_map[0, 3] = 1
    assert lifts_of(grid_map)["corner_tl"] == pytest.approx(8, rel=1e-5)


def test_the_centre_holds_everything() -> None:
    grid_map = torch.zeros(16, 16)
    grid_map[4:12, 4:12] = 1
    assert lifts_of(grid_map)["centre"] == pytest.approx(4, rel=1e-5)


@pytest.mark.parametrize("grid", [(1, 1), (1, 9), (2, 2), (2, 5), (9, 1)])
def test_a_thin_grid_is_all_border(grid: tuple[int, int]) -> None:
    grid_map = torch.arange(1.0, 1 + grid[0] * grid[1]).reshape(grid)
    assert lifts_of(grid_map)["border"] == pytest.approx(1, rel=1e-5)


@given(grid_maps())
def test_mirrors_swap_the_corners(grid_map: torch.Tensor) -> None:
    found, across, down = lifts_of(grid_map), lifts_of(grid_map.flip(1)), lifts_of(grid_map.flip(0))
    for side in "tb":
        assert across[f"corner_{side}r"] == pytest.approx(found[f"corner_{side}l"], abs=1e-5)
    for side in "lr":
        assert down[f"corner_b{side}"] == pytest.approx(found[f"corner_t{side}"], abs=1e-5)
    for name in ("border", "centre"):
        assert across[name] == pytest.approx(found[name], abs=1e-5)


@given(st.sampled_from([4, 8, 16, 28]), grid_maps(grids=st.just((4, 4))))
def test_corner_and_centre_mean_the_same_on_a_finer_grid(side: int, grid_map: torch.Tensor) -> None:
    finer = grid_map.repeat_interleave(side // 4, 0).repeat_interleave(side // 4, 1)
    coarse, fine = lifts_of(grid_map), lifts_of(finer)
    for name in set(REGIONS) - {"border"}:
        assert fine[name] == pytest.approx(coarse[name], abs=1e-4)

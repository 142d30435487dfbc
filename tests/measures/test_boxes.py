import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measures.boxes import TOLERANCE, coverage, energy, hit, valid
from pipeline.measures.mass import distribution
from tests.measures import reference
from tests.measures.flows import GRIDS, seeded_boxes

FINE = 8
NAN_BOX = [float("nan")] * 4


@st.composite
def painted(draw: st.DrawFn) -> tuple[tuple[int, int], np.ndarray]:
    """A grid, and up to five boxes in whole pixels of a raster of 8 × 8 per cell."""
    height, width = draw(GRIDS)
    across, down = st.integers(0, width * FINE), st.integers(0, height * FINE)
    pair = st.tuples(across, down, across, down)
    corners = draw(st.lists(pair, min_size=1, max_size=5))
    boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]
    return (height, width), np.array(boxes, np.float64)


def fractions(boxes: np.ndarray, grid: tuple[int, int]) -> torch.Tensor:
    height, width = grid[0] * FINE, grid[1] * FINE
    return torch.from_numpy((boxes / [width, height, width, height]).astype(np.float32))[None]


def box(*corners: float) -> torch.Tensor:
    return torch.tensor([[corners]])


@given(painted())
def test_coverage_as_painting_says(case: tuple[tuple[int, int], np.ndarray]) -> None:
    grid, boxes = case
    found = coverage(fractions(boxes, grid), grid).reshape(grid)
    np.testing.assert_allclose(found.numpy(), reference.coverage(boxes, grid, FINE), atol=1e-5)


@given(painted())
def test_coverage_asks_neither_order_nor_repetition(case) -> None:
    grid, boxes = case
    again = np.concatenate([boxes[::-1], boxes])
    assert torch.equal(
        coverage(fractions(boxes, grid), grid), coverage(fractions(again, grid), grid)
    )


@pytest.mark.parametrize("side", [1, 2, 3, 7, 14, 37])
def test_the_whole_input_covers_every_cell_exactly(side: int) -> None:
    assert torch.equal(coverage(box(0, 0, 1, 1), (side, side)), torch.ones(1, side * side))


@pytest.mark.parametrize("side", [3, 7, 14, 37])
def test_a_box_on_cell_lines_covers_its_cells_only(side: int) -> None:
    edge = [1 / side, 1 / side, 2 / side, 3 / side]
    found = coverage(box(*edge), (side, side)).reshape(side, side)
    expected = torch.zeros(side, side)
    expected[1:3, 1] = 1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_box_smaller_than_a_cell_keeps_its_area() -> None:
    found = coverage(box(0.11, 0.11, 0.12, 0.13), (5, 5))
    assert found[0, 0].item() == pytest.approx(0.01 * 0.02 * 25, rel=1e-4)
    assert found.sum() == found[0, 0]


def test_what_lies_outside_the_input_is_cut_off() -> None:
    inside = coverage(box(0, 0.25, 0.5, 1), (4, 4))
    assert torch.equal(coverage(box(-2, 0.25, 0.5, 7), (4, 4)), inside)


@pytest.mark.parametrize(
    "corners",
    [
        NAN_BOX,
        [0.2, 0.2, float("nan"), 0.8],
        [0.2, 0.2, float("inf"), 0.8],
        [0.3, 0.2, 0.3, 0.8],
        [0.8, 0.2, 0.3, 0.8],
        [1.1, 0.2, 1.4, 0.8],
    ],
)
def test_padding_and_boxes_without_area_are_ignored(corners: list[float]) -> None:
    good = [0.1, 0.1, 0.4, 0.7]
    both = torch.tensor([[corners, good]])
    assert valid(both).tolist() == [[False, True]]
    assert torch.equal(coverage(both, (5, 3)), coverage(torch.tensor([[good]]), (5, 3)))
    assert not coverage(torch.tensor([[corners]]), (5, 3)).any()


def test_no_boxes_at_all() -> None:
    none = torch.zeros(2, 0, 4)
    assert valid(none).shape == (2, 0)
    assert not coverage(none, (3, 4)).any()
    assert hit(torch.ones(2, 12), none, (3, 4)).tolist() == [False, False]


def test_coverage_has_the_same_bits_in_any_batch() -> None:
    boxes = seeded_boxes(32, 5)
    together = coverage(boxes, (14, 14))
    alone = torch.cat([coverage(boxes[i : i + 1].clone(), (14, 14)) for i in range(32)])
    assert torch.equal(together, alone)


def test_energy_is_the_covered_share_of_p_for_layers_and_flow() -> None:
    rng = np.random.default_rng(0)
    maps = torch.from_numpy(rng.random((3, 2, 4, 5), np.float32))
    p, covered = distribution(maps).p, coverage(seeded_boxes(3, 2, seed=1), (4, 5))
    expected = np.einsum("bln,bn->bl", p.double().numpy(), covered.double().numpy())
    np.testing.assert_allclose(energy(p, covered).numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(energy(p[:, 1], covered).numpy(), expected[:, 1], atol=1e-6)


def pointing_at(row: int, column: int, grid: tuple[int, int]) -> torch.Tensor:
    p = torch.zeros(1, grid[0] * grid[1])
    p[0, row * grid[1] + column] = 1
    return p


def test_the_highest_cell_hits_its_box_and_misses_others() -> None:
    grid = (14, 14)
    p = pointing_at(2, 9, grid)  # centre at y 40, x 152 of 224 pixels
    assert hit(p, box(150 / 224, 30 / 224, 160 / 224, 50 / 224), grid)
    assert not hit(p, box(30 / 224, 150 / 224, 50 / 224, 160 / 224), grid)


@given(GRIDS, st.data())
def test_every_cell_points_at_its_own_place_on_any_grid(
    grid: tuple[int, int], data: st.DataObject
) -> None:
    row, column = (data.draw(st.integers(0, cells - 1)) for cells in grid)
    y, x = (row + 0.5) / grid[0], (column + 0.5) / grid[1]
    p = pointing_at(row, column, grid)
    assert hit(p, box(x - 0.01, y - 0.01, x + 0.01, y + 0.01), grid)
    away = (y + 0.5) % 1
    assert not hit(p, box(x - 0.01, away - 0.01, x + 0.01, away + 0.01), grid)


@pytest.mark.parametrize(("gap", "expected"), [(-1, True), (14, True), (16, False)])
@pytest.mark.parametrize("side", ["left", "right", "above", "below"])
def test_fifteen_pixels_of_slack_on_every_side(side: str, gap: int, expected: bool) -> None:
    corners = {
        "left": (152 + gap, 20, 152 + gap + 30, 60),
        "right": (152 - gap - 30, 20, 152 - gap, 60),
        "above": (130, 40 + gap, 180, 40 + gap + 30),
        "below": (130, 40 - gap - 30, 180, 40 - gap),
    }[side]
    found = hit(pointing_at(2, 9, (14, 14)), box(*(c / 224 for c in corners)), (14, 14))
    assert found.item() is expected


def test_any_box_of_the_image_will_do_and_only_of_that_image() -> None:
    p = pointing_at(0, 0, (4, 4)).repeat(2, 1)
    near, far = [0.0, 0.0, 0.2, 0.2], [0.7, 0.7, 0.9, 0.9]
    boxes = torch.tensor([[far, near], [far, NAN_BOX]])
    assert hit(p, boxes, (4, 4)).tolist() == [True, False]


def test_tolerance_is_a_fraction_of_the_input() -> None:
    assert pytest.approx(15 / 224) == TOLERANCE

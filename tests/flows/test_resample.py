import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.flows.resample import default_grid, on_one_grid, resample

SIDES = st.integers(1, 9)


@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 99))
def test_the_mass_stays(h: int, w: int, rows: int, columns: int, seed: int) -> None:
    maps = torch.rand(2, h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = resample(maps, (rows, columns))
    assert found.shape == (2, rows, columns)
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum((1, 2)), maps.sum((1, 2)))


@given(SIDES, SIDES, SIDES, SIDES)
def test_uniform_stays_uniform(h: int, w: int, rows: int, columns: int) -> None:
    found = resample(torch.ones(1, h, w, dtype=torch.float64), (rows, columns))
    torch.testing.assert_close(found, torch.full_like(found, h * w / rows / columns))


def test_whole_multiples_are_block_sums_and_even_shares() -> None:
    maps = torch.arange(16.0).reshape(1, 4, 4)
    sums = maps.reshape(1, 2, 2, 2, 2).sum((2, 4))
    assert torch.equal(resample(maps, (2, 2)), sums)
    shares = sums.repeat_interleave(2, 1).repeat_interleave(2, 2) / 4
    assert torch.equal(resample(sums, (4, 4)), shares)
    assert torch.equal(resample(maps, (4, 4)), maps)


def test_a_cell_in_between_is_shared_by_its_overlap() -> None:
    found = resample(torch.tensor([[[0.0, 3.0, 0.0]]]), (1, 2))
    assert found[0, 0].tolist() == pytest.approx([1.5, 1.5])


def test_autocast_rounds_nothing() -> None:
    maps = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = resample(maps, (3, 4))
    assert torch.equal(found, resample(maps, (3, 4)))


def test_the_default_grid_has_cells_of_sixteen_pixels() -> None:
    assert default_grid(224, 225) == (14, 15)


@pytest.mark.parametrize(
    ("sizes", "asked", "grid", "others"),
    [
        ([(3, 4), (3, 4)], None, (3, 4), False),  # one grid of their own
        ([(3, 4), (3, 4)], (2, 2), (2, 2), True),
        ([(6, 8), (3, 4)], None, (2, 4), True),  # they differ: cells of 16 pixels
        ([(6, 8), (3, 4)], (3, 4), (3, 4), True),
        ([(32, 64)], None, (2, 4), True),  # as large as the image
    ],
)
def test_layers_share_one_grid_and_keep_their_own(sizes, asked, grid, others) -> None:
    native = [torch.rand(2, *size) for size in sizes]
    maps, own = on_one_grid(native, (32, 64), asked)
    assert maps.shape == (2, len(sizes), *grid)
    wanted = torch.stack([layer.sum((1, 2)) for layer in native], dim=1)
    torch.testing.assert_close(maps.sum((2, 3)), wanted)
    assert len(own) == (len(native) if others else 0)
    assert all(map(torch.equal, own, native if others else []))

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measures.mass import distribution, total
from tests.measures.flows import grid_maps, seeded_maps


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 9, 196, 197, 1369])
def test_total_is_the_sum(size: int) -> None:
    values = torch.from_numpy(np.random.default_rng(size).normal(size=(3, 2, size)))
    torch.testing.assert_close(total(values), values.sum(-1), rtol=1e-12, atol=1e-12)


def test_total_leaves_its_input_alone() -> None:
    values = torch.arange(7.0)
    total(values)
    assert torch.equal(values, torch.arange(7.0))


@given(st.integers(1, 300), st.integers(1, 40))
def test_total_of_a_row_has_the_same_bits_in_any_batch(size: int, rows: int) -> None:
    values = torch.from_numpy(np.random.default_rng(size).random((rows, size), np.float32))
    alone = torch.stack([total(row.clone()) for row in values])
    assert torch.equal(total(values), alone)


def test_total_rounds_little() -> None:
    values = torch.full((1 << 20,), 0.1)
    assert abs(total(values).item() / (0.1 * (1 << 20)) - 1) < 1e-6


@given(grid_maps())
def test_mass_and_p_are_the_map(grid_map: torch.Tensor) -> None:
    found = distribution(grid_map)
    exact = grid_map.double().sum()
    torch.testing.assert_close(found.mass.double(), exact, rtol=1e-6, atol=0)
    torch.testing.assert_close(
        found.p.double(), grid_map.double().flatten() / exact, rtol=1e-6, atol=1e-12
    )
    assert found.defined


@given(grid_maps(), st.integers(-40, 20))
def test_p_does_not_depend_on_the_scale(grid_map: torch.Tensor, octaves: int) -> None:
    scaled = distribution(grid_map * 2.0**octaves)
    assert torch.equal(scaled.p, distribution(grid_map).p)
    assert scaled.mass == distribution(grid_map).mass * 2.0**octaves


@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1e36])
def test_the_ends_of_float32_keep_their_shape(scale: float) -> None:
    found = distribution(torch.tensor([[1.0, 0.0], [0.0, 1.0]]) * scale)
    assert found.p.tolist() == [0.5, 0, 0, 0.5]
    assert found.mass == torch.tensor(scale) * 2


def test_a_zero_map_has_mass_zero_and_no_p() -> None:
    found = distribution(torch.zeros(2, 3, 3))
    assert found.mass.tolist() == [0, 0]
    assert not found.defined.any()
    assert found.where_defined(torch.ones(2)).isnan().all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_map_that_is_not_finite_spoils_only_itself(bad: float) -> None:
    maps = seeded_maps(3, 2, (4, 4))
    clean = distribution(maps)
    maps[1, 0, 2, 2] = bad
    found = distribution(maps)
    assert found.defined.tolist() == [[True, True], [False, True], [True, True]]
    assert found.mass.isnan().tolist() == [[False, False], [True, False], [False, False]]
    assert not found.p.isnan().any()
    assert torch.equal(found.p[[0, 2]], clean.p[[0, 2]])


def test_a_mass_beyond_float32_is_not_infinite() -> None:
    found = distribution(torch.full((2, 2), 2e38))
    assert found.mass.isnan()
    assert found.p.tolist() == [0.25] * 4

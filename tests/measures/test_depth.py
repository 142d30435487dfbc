import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.measures.depth import (
    convergence_depth,
    depth_centre,
    divergence,
    known_depth,
    shares,
)
from pipeline.measures.mass import Distribution, distribution
from tests.measures import reference
from tests.measures.flows import grid_maps


def flow(maps: torch.Tensor) -> Distribution:
    return distribution(maps.cumsum(1))


def delta(cell: int, mass: float = 1.0) -> list[float]:
    values = [0.0] * 4
    values[cell] = mass
    return values


def stack(*layers: list[float]) -> torch.Tensor:
    return torch.tensor([layers]).reshape(1, len(layers), 2, 2)


@given(st.integers(1, 6).flatmap(lambda layers: grid_maps(layers=layers)))
def test_divergence_and_depth_as_scipy_says(maps: torch.Tensor) -> None:
    accumulated = flow(maps[None])
    expected = reference.divergences(maps.numpy())
    np.testing.assert_allclose(divergence(accumulated)[0].numpy(), expected, atol=3e-6)
    assume((np.abs(expected - 0.05) > 1e-5).all())
    assert convergence_depth(accumulated).item() == reference.convergence_depth(expected)


def test_the_first_layer_says_it_all() -> None:
    assert convergence_depth(flow(stack(delta(1), delta(1), delta(1)))) == 0


def test_the_last_layer_turns_it_over() -> None:
    assert convergence_depth(flow(stack(delta(1), delta(1), delta(2, 50.0)))) == 2


def test_being_near_once_is_not_enough() -> None:
    # P is near the end at layer 0, far at layer 1, and near again from layer 2.
    maps = stack(delta(0), delta(1, 9.0), delta(0, 1e4))
    near = divergence(flow(maps)) <= 0.05
    assert near.tolist() == [[True, False, True]]
    assert convergence_depth(flow(maps)) == 2


def test_layers_before_any_mass_have_not_converged() -> None:
    accumulated = flow(stack([0.0] * 4, [0.0] * 4, delta(1)))
    assert divergence(accumulated).isnan().tolist() == [[True, True, False]]
    assert convergence_depth(accumulated) == 2


def test_an_image_without_mass_has_no_depth() -> None:
    assert convergence_depth(flow(torch.zeros(1, 3, 2, 2))).isnan().all()


def test_disjoint_maps_diverge_by_one_bit() -> None:
    accumulated = distribution(stack(delta(0), delta(3)))
    assert divergence(accumulated)[0, 0].item() == pytest.approx(1)


def test_shares_and_their_centre() -> None:
    mass = torch.tensor([[1.0, 2.0, 1.0], [0.0, 0.0, 5.0], [3.0, 0.0, 0.0]])
    share = shares(mass)
    assert share.tolist() == [[0.25, 0.5, 0.25], [0, 0, 1], [1, 0, 0]]
    assert depth_centre(share).tolist() == [0.5, 1, 0]


def test_no_mass_has_no_share_and_no_centre() -> None:
    share = shares(torch.tensor([[0.0, 0.0], [1.0, 3.0]]))
    assert share[0].isnan().all()
    assert depth_centre(share).isnan().tolist() == [True, False]
    assert depth_centre(share)[1] == 0.75


def test_a_single_layer_is_at_depth_zero() -> None:
    assert depth_centre(shares(torch.tensor([[7.0]]))) == 0


@given(st.integers(1, 5).flatmap(lambda layers: grid_maps(layers=layers)), st.integers(-20, 20))
def test_scale_does_not_matter(maps: torch.Tensor, octaves: int) -> None:
    scaled = maps[None] * 2.0**octaves
    assert torch.equal(convergence_depth(flow(scaled)), convergence_depth(flow(maps[None])))
    mass = distribution(maps[None]).mass
    assert torch.equal(shares(mass * 2.0**octaves), shares(mass))


@given(st.lists(st.sampled_from([0.2, 0.8, 1.0]), min_size=1, max_size=6))
def test_a_class_is_known_from_where_it_stays_the_most_likely(ranks: list[float]) -> None:
    first = next((b for b in range(len(ranks)) if min(ranks[b:]) == 1), len(ranks))
    assert known_depth(torch.tensor([ranks])).tolist() == [first]


def test_a_rank_that_is_not_finite_has_no_depth() -> None:
    assert known_depth(torch.tensor([[1.0, torch.nan]])).isnan().all()

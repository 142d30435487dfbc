import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation

from pipeline.measures.sinks import sink_cells


@given(st.integers(0, 2**20), st.integers(1, 9), st.integers(1, 9))
def test_sinks_as_scipy_says(seed: int, height: int, width: int) -> None:
    norms = np.random.default_rng(seed).lognormal(1, 1.5, (3, height, width)).astype(np.float32)
    cells = norms.reshape(3, -1).astype(np.float64)
    limit = np.median(cells, 1) + 6 * 1.4826 * median_abs_deviation(cells, 1)
    if (np.abs(cells - limit[:, None]) < 1e-4).any():
        return
    assert sink_cells(torch.from_numpy(norms)).tolist() == (cells > limit[:, None]).sum(1).tolist()


def test_planted_sinks_are_counted_per_image() -> None:
    norms = torch.from_numpy(np.random.default_rng(0).normal(10, 1, (3, 14, 14)))
    norms = norms.float().clamp(8, 12)
    norms[1, 0, 0] = norms[1, 5, 9] = 60
    norms[2, 3, 3] = 40
    assert sink_cells(norms).tolist() == [0, 2, 1]


def test_constant_norms_have_no_sinks_and_one_outlier_among_them_is_one() -> None:
    norms = torch.full((2, 4, 4), 3.0)
    norms[1, 2, 2] = 3.5
    assert sink_cells(norms).tolist() == [0, 1]


def test_a_single_token_is_no_sink() -> None:
    assert sink_cells(torch.full((1, 1, 1), 9.0)).tolist() == [0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_norms_that_are_not_finite_spoil_their_image_only(bad: float) -> None:
    norms = torch.ones(2, 3, 3)
    norms[0, 1, 1] = bad
    assert sink_cells(norms).isnan().tolist() == [True, False]

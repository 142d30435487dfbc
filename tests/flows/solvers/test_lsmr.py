import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.flows.solvers.lsmr import lsmr


def products(matrices):
    return (
        lambda v: (matrices @ v[..., None])[..., 0],
        lambda u: (matrices.mT @ u[..., None])[..., 0],
    )


def systems(rows, columns, count=4, rank=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rank = rank or min(rows, columns)
    left = torch.randn(count, rows, rank, generator=generator, dtype=torch.float64)
    right = torch.randn(count, rank, columns, generator=generator, dtype=torch.float64)
    b = torch.randn(count, rows, generator=generator, dtype=torch.float64)
    return left @ right, b


@pytest.mark.parametrize(("rows", "columns", "rank"), [(9, 5, 5), (5, 9, 5), (7, 7, 3)])
def test_finds_the_smallest_least_squares_solution(rows, columns, rank):
    matrices, b = systems(rows, columns, rank=rank)
    found = lsmr(*products(matrices), b, iterations=60, tolerance=1e-13)
    wanted = (torch.linalg.pinv(matrices) @ b[..., None])[..., 0]
    torch.testing.assert_close(found.x, wanted, rtol=1e-8, atol=1e-8)
    lost = (matrices @ wanted[..., None])[..., 0] - b
    torch.testing.assert_close(found.residual, lost.norm(dim=1) / b.norm(dim=1))


@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    steps=st.integers(1, 6),
    damping=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 999),
)
def test_every_step_is_that_of_scipy(rows, columns, steps, damping, seed):
    matrices, b = systems(rows, columns, count=2, seed=seed)
    # The last step of an ill-conditioned system is made of what rounding has left.
    assume(steps < min(rows, columns) or float(torch.linalg.cond(matrices).max()) < 100)
    found = lsmr(*products(matrices), b, iterations=steps, tolerance=0.0, damping=damping)
    for matrix, right, x in zip(matrices, b, found.x, strict=True):
        wanted = scipy.sparse.linalg.lsmr(
            matrix.numpy(), right.numpy(), damp=damping, atol=0, btol=0, conlim=0, maxiter=steps
        )[0]
        # Beyond an exact solution both follow their own rounding.
        size = np.abs(wanted).max()
        assert np.abs(x.numpy() - wanted).max() <= 1e-5 * size + 1e-9


def test_each_system_ends_by_itself():
    easy = torch.eye(6, dtype=torch.float64)
    hard = torch.diag(torch.logspace(0, -3, 6, dtype=torch.float64))
    b = torch.ones(3, 6, dtype=torch.float64)
    b[2] = 0
    both = lsmr(*products(torch.stack([easy, hard, hard])), b, iterations=100, tolerance=1e-10)
    assert both.iterations[0] == 1
    assert both.iterations[1] >= 6
    assert both.iterations[2] == 0
    assert both.residual[2] == 0
    assert torch.equal(both.x[2], torch.zeros(6, dtype=torch.float64))
    alone = lsmr(*products(hard[None]), b[:1], iterations=100, tolerance=1e-10)
    assert torch.equal(alone.iterations, both.iterations[1:2])
    assert torch.equal(alone.x, both.x[1:2])


def test_one_bad_system_spoils_no_other():
    matrices, b = systems(6, 4, count=3)
    clean = lsmr(*products(matrices), b, iterations=20, tolerance=1e-10)
    matrices[1] = float("nan")
    found = lsmr(*products(matrices), b, iterations=20, tolerance=1e-10)
    assert found.x[1].isnan().all()
    torch.testing.assert_close(found.x[[0, 2]], clean.x[[0, 2]])


def test_a_map_that_is_zero_everywhere_gives_zero():
    zero = torch.zeros(2, 3, 5, dtype=torch.float64)
    found = lsmr(*products(zero), torch.ones(2, 3, dtype=torch.float64), iterations=5, tolerance=0)
    assert torch.equal(found.x, torch.zeros(2, 5, dtype=torch.float64))
    assert torch.equal(found.residual, torch.ones(2, dtype=torch.float64))

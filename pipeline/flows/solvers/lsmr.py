"""LSMR: least squares from products with A and Aᵀ alone, for a batch of systems at once.

Every image has a separate system, with separate scalars and stopping; each iteration makes one
call of ``forward`` and ``adjoint`` for all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Solution:
    """The solutions of B systems by LSMR.

    ``x`` (B, N); ``residual`` (B,) = ‖A x − b‖ / ‖b‖ in [0, 1], recomputed from x, 0 where
    b = 0; ``iterations`` (B,) int64, the number of steps of each system.
    """

    x: Tensor
    residual: Tensor
    iterations: Tensor


@torch.no_grad()
def lsmr(
    forward: Product,
    adjoint: Product,
    b: Tensor,
    *,
    iterations: int,
    tolerance: float,
    damping: float = 0.0,
) -> Solution:
    """Minimise ‖A x − b‖² + damping² ‖x‖² per image; of several minima take the smallest x.

    The method of Fong and Saunders (SIAM J. Sci. Comput. 33, 2011): Golub–Kahan
    bidiagonalisation and two rotations per step, ‖Aᵀr‖ falls monotonically.

    Parameters
    ----------
    forward
        v (B, N) ↦ A v (B, M), each image by its own A.
    adjoint
        u (B, M) ↦ Aᵀ u (B, N).
    b
        Right-hand sides, (B, M).
    iterations
        Maximum number of steps, ≥ 1.
    tolerance
        A system stops when ‖Aᵀr‖ ≤ tolerance · ‖Aᵀb‖, with the damped residual r.
    damping
        ≥ 0.
    """
    beta, u = _normalised(b)
    alpha, v = _normalised(adjoint(u))
    zeta_bar, alpha_bar = alpha * beta, alpha
    rho, rho_bar, c_bar = (torch.ones_like(alpha) for _ in range(3))
    s_bar = torch.zeros_like(alpha)
    h, h_bar, x = v.clone(), torch.zeros_like(v), torch.zeros_like(v)
    goal = tolerance * zeta_bar
    alive = zeta_bar > goal
    count = torch.zeros_like(alive, dtype=torch.int64)
    for _ in range(iterations):
        if not alive.any():
            break
        beta, u = _normalised(forward(v) - alpha * u)
        alpha, v = _normalised(adjoint(u) - beta * v)
        rho_old, rho_bar_old = rho, rho_bar
        alpha_hat = torch.hypot(alpha_bar, torch.full_like(alpha, damping))
        c, s, rho = _rotation(alpha_hat, beta)
        theta, alpha_bar = s * alpha, c * alpha
        theta_bar = s_bar * rho
        c_bar, s_bar, rho_bar = _rotation(c_bar * rho, theta)
        zeta, zeta_bar = c_bar * zeta_bar, -s_bar * zeta_bar
        h_bar = h - _ratio(theta_bar * rho, rho_old * rho_bar_old) * h_bar
        step = _ratio(zeta, rho * rho_bar)
        x += torch.where(alive, step, 0) * h_bar
        h = v - _ratio(theta, rho) * h
        count += alive
        alive = alive & (zeta_bar.abs() > goal)
    size = b.norm(dim=1, keepdim=True)
    residual = _ratio((forward(x) - b).norm(dim=1, keepdim=True), size)
    return Solution(x, residual[:, 0], count[:, 0])


def _normalised(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the norms (B, 1) of vectors (B, N), and the vectors divided by them."""
    norms = vectors.norm(dim=1, keepdim=True)
    return norms, _ratio(vectors, norms)


def _rotation(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return c, s, r with c·a + s·b = r and c·b − s·a = 0; c = 1 where both are zero."""
    r = torch.hypot(a, b)
    return torch.where(r > 0, _ratio(a, r), 1), _ratio(b, r), r


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """Return a / b, and 0 where b is 0."""
    return torch.where(b != 0, a / torch.where(b != 0, b, 1), 0)

"""A module linearised at its actual input, as products with its Jacobian and the transpose."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.flows.solvers.lsmr import Product

Module = Callable[[Tensor], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Linear:
    """f(x) ≈ offset + J x near a point, for B images with B Jacobians J (M, N).

    ``forward`` (B, N) ↦ J v (B, M); ``adjoint`` (B, M) ↦ Jᵀ u (B, N); ``offset`` (B, M) is
    f(x₀) − J x₀: a convolution's bias, for instance.
    """

    forward: Product
    adjoint: Product
    offset: Tensor


def linearise(module: Module, point: Tensor, affine: bool = False) -> Linear:
    """Linearise a module that treats every image by itself.

    Parameters
    ----------
    module
        (B, …) ↦ tensors (B, …), which are laid side by side to M values per image.
    point
        The input x₀ (B, …), N values per image.
    affine
        Whether the module is an affine function, so that J v = f(v) − f(0): one convolution
        per product instead of the two of forward differentiation.
    """

    def flat(x: Tensor) -> Tensor:
        return torch.cat([output.flatten(1) for output in module(x.view_as(point))], dim=1)

    with torch.enable_grad():
        x = point.detach().flatten(1).requires_grad_()
        y = flat(x)
    x0, zero = x.detach(), torch.zeros_like(x, requires_grad=False)

    def adjoint(u: Tensor) -> Tensor:
        (back,) = torch.autograd.grad(y, x, u, retain_graph=True)
        return back

    def forward(v: Tensor) -> Tensor:
        pushed: Tensor = torch.func.jvp(flat, (x0,), (v,))[1]
        return pushed

    with torch.no_grad():
        if affine:
            offset = flat(zero)
            return Linear(lambda v: flat(v) - offset, adjoint, offset)
        return Linear(forward, adjoint, y.detach() - forward(x0))

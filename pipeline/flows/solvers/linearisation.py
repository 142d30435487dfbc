"""A module linearised at its input: products with its Jacobian and the transpose."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from pipeline.errors import UnsupportedModel
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


def pushed_forward(module: Callable[[Tensor], Any], point: Tensor, change: Tensor) -> Any:
    """Return a module's value at a point, and its derivative along a change.

    Attention is computed in its plain form: the fused ones have no forward derivative.

    Raises
    ------
    UnsupportedModel
        Torch has no forward derivative of a function in the module.
    """
    try:
        with sdpa_kernel(SDPBackend.MATH):
            return torch.func.jvp(module, (point,), (change,))
    except NotImplementedError as error:
        raise UnsupportedModel(
            f"a layer cannot be inverted, as torch has no forward-mode derivative of it "
            f"({str(error).splitlines()[0]}); use naflow with mode: released, or gradcam"
        ) from error


def linearise(module: Module, point: Tensor, affine: bool = False) -> Linear:
    """Linearise a module that treats every image independently.

    Parameters
    ----------
    module
        (B, …) ↦ tensors (B, …), which are concatenated to M values per image.
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
        pushed: Tensor = pushed_forward(flat, x0, v)[1]
        return pushed

    with torch.no_grad():
        if affine:
            offset = flat(zero)
            return Linear(lambda v: flat(v) - offset, adjoint, offset)
        return Linear(forward, adjoint, y.detach() - forward(x0))

import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.flows.solvers.linearisation import linearise
from pipeline.flows.solvers.lsmr import lsmr


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Conv2d(6, 2, 1), nn.Conv2d(2, 6, 1)

    def forward(self, x):
        return x * self.outer(self.inner(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


LAYERS = {
    "convolution": nn.Conv2d(6, 8, 3, padding=1),
    "strided": nn.Conv2d(6, 8, 3, stride=2, padding=1),
    "stride beyond the kernel": nn.Conv2d(6, 8, 1, stride=2),
    "dilated": nn.Conv2d(6, 4, 3, dilation=2, padding=2),
    "grouped": nn.Conv2d(6, 9, 3, padding=1, groups=3),
    "depthwise": nn.Conv2d(6, 6, 5, padding=2, groups=6),
    "depthwise, multiplied, strided": nn.Conv2d(6, 12, 3, stride=2, groups=6, bias=False),
    "reflecting": nn.Conv2d(6, 4, 3, padding=1, padding_mode="reflect"),
    "linear": nn.Linear(9, 5),
    "batch norm": nn.BatchNorm2d(6).eval(),
    "layer norm": nn.LayerNorm((6, 8, 9)),
    "max pool": nn.MaxPool2d(3, 2, 1),
    "average pool": nn.AvgPool2d(2),
    "silu": nn.SiLU(),
    "gelu": nn.GELU(),
    "hardswish": nn.Hardswish(),
    "gate": Gate(),
    "residual": nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(), Gate()),
}
AFFINE = [name for name, layer in LAYERS.items() if isinstance(layer, nn.Conv2d | nn.Linear)]


def prepared(name):
    torch.manual_seed(0)
    layer = LAYERS[name].double().requires_grad_(False)
    return (lambda x: (layer(x),)), torch.randn(3, 6, 8, 9, dtype=torch.float64)


@pytest.mark.parametrize("name", LAYERS)
def test_the_products_are_adjoint_and_those_of_the_jacobian(name):
    module, x = prepared(name)
    linear = linearise(module, x, affine=name in AFFINE)
    v = torch.randn(3, x[0].numel(), dtype=torch.float64)
    forward = linear.forward(v)
    u = torch.randn_like(forward)
    back = linear.adjoint(u)
    torch.testing.assert_close((forward * u).sum(1), (v * back).sum(1), rtol=1e-10, atol=1e-10)
    _, wanted = torch.func.jvp(lambda x: module(x)[0], (x,), (v.view_as(x),))
    torch.testing.assert_close(forward, wanted.flatten(1))


@pytest.mark.parametrize("name", LAYERS)
def test_adjoint_in_single_precision(name):
    torch.manual_seed(0)
    layer = LAYERS[name].float()
    x = torch.randn(2, 6, 8, 9)
    linear = linearise(lambda x: (layer(x),), x, affine=name in AFFINE)
    v = torch.randn(2, x[0].numel())
    forward = linear.forward(v)
    u = torch.randn_like(forward)
    size = forward.norm(dim=1) * u.norm(dim=1)
    gap = ((forward * u).sum(1) - (v * linear.adjoint(u)).sum(1)).abs()
    assert (gap <= 1e-5 * size).all()


@pytest.mark.parametrize("name", AFFINE[:-1])
def test_equals_scipys_solver_and_the_dense_definition(name):
    module, x = prepared(name)
    x = x[:1, :, :5, :5]
    y = torch.randn_like(module(x)[0])
    linear = linearise(module, x, affine=True)
    right = y.flatten(1) - linear.offset
    found = lsmr(linear.forward, linear.adjoint, right, iterations=500, tolerance=1e-13)
    bias = module(torch.zeros_like(x))[0]
    jacobian = torch.func.jacrev(lambda x: module(x)[0])(x).reshape(y.numel(), x.numel())
    dense = torch.linalg.pinv(jacobian) @ (y - bias).flatten()
    torch.testing.assert_close(found.x[0], dense, rtol=1e-6, atol=1e-7)
    wanted = scipy.sparse.linalg.lsmr(
        jacobian.numpy(), (y - bias).flatten().numpy(), atol=1e-14, btol=1e-14, maxiter=2000
    )[0]
    assert np.abs(found.x[0].numpy() - wanted).max() < 1e-6


def test_a_full_rank_layer_gives_its_input_back():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 20, 3, padding=1))
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        y = layers(x)
    linear = linearise(lambda x: (layers(x),), x, affine=True)
    found = lsmr(
        linear.forward, linear.adjoint, y.flatten(1) - linear.offset, iterations=300, tolerance=1e-6
    )
    assert (found.x.view_as(x) - x).abs().max() < 1e-3
    assert found.residual.max() < 1e-4


def test_side_by_side_outputs_are_one_system():
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    linear = linearise(lambda x: (x, F.relu(x)), x)
    found = linear.forward(torch.ones(2, 48, dtype=torch.float64))
    assert found.shape == (2, 96)
    assert torch.equal(found[:, 48:], (x > 0).double().flatten(1))
    assert torch.equal(linear.offset, torch.zeros_like(found))

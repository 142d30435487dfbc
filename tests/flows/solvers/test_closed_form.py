import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.flows.solvers.closed_form import closed
from pipeline.models.structure.segments import Segment
from pipeline.models.structure.tape import recording


def inverted(layer, x, y=None, damping=0.0):
    model = nn.Sequential(layer)
    with recording(model, x) as ops:
        output = model(x)
    segment = Segment(x, output, tuple(ops))
    with torch.no_grad():
        return closed(segment, x, output.detach() if y is None else y, damping)


def of_functions(function):
    layer = nn.Identity()
    layer.forward = function
    return layer


def batch_norm():
    norm = nn.BatchNorm2d(4).double().eval()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.1, 3)
    norm.weight.data.normal_()
    norm.bias.data.normal_()
    return norm


def scaled(norm):
    norm.weight.data.uniform_(0.5, 2)
    norm.bias.data.normal_()
    return norm.double()


INVERTIBLE = {
    "batch norm": batch_norm,
    "layer norm": lambda: scaled(nn.LayerNorm((4, 6, 6))),
    "group norm": lambda: scaled(nn.GroupNorm(2, 4)),
    "leaky relu": lambda: nn.LeakyReLU(0.2),
    "prelu": lambda: nn.PReLU(4).double(),
    "scale and shift": lambda: of_functions(lambda x: x * torch.arange(1.0, 7) - 3),
    "permutation": lambda: of_functions(lambda x: x.permute(0, 2, 3, 1)),
    "padding": lambda: nn.ZeroPad2d((1, 2, 0, 3)),
    "flattening": lambda: nn.Flatten(),
}


@pytest.mark.parametrize("name", INVERTIBLE)
def test_an_invertible_layer_gives_its_input_back(name):
    torch.manual_seed(0)
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(inverted(INVERTIBLE[name](), x), x)


def test_batch_norm_is_inverted_by_its_formula():
    norm = batch_norm()
    x, y = torch.randn(2, 2, 4, 3, 3, dtype=torch.float64)
    column = [part.view(-1, 1, 1) for part in (norm.weight, norm.bias, norm.running_mean)]
    deviation = (norm.running_var + norm.eps).sqrt().view(-1, 1, 1)
    wanted = (y - column[1]) / column[0] * deviation + column[2]
    torch.testing.assert_close(inverted(norm, x, y), wanted.detach())
    with torch.no_grad():
        norm.weight[1] = 0
    assert torch.equal(inverted(norm, x, y)[:, 1], torch.zeros(2, 3, 3, dtype=torch.float64))


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.ReLU6(), nn.Dropout(), nn.Hardtanh()])
def test_relu_passes_back_what_it_gets(layer):
    x, y = torch.randn(2, 1, 3, 4, 4)
    found = inverted(layer.eval(), x, y) if not isinstance(layer, nn.Dropout) else y
    assert torch.equal(found, y)


@pytest.mark.parametrize("layer", [nn.SiLU(), nn.GELU(), nn.Hardswish(), nn.Mish()])
def test_curved_activations_follow_their_slope_where_they_have_one(layer):
    x = torch.linspace(-6, 6, 49, dtype=torch.float64).view(1, 1, 7, 7)
    steep = torch.func.vjp(layer, x)[1](torch.ones_like(x))[0].abs() > 0.9
    found = inverted(layer, x)
    assert ((found - x).abs()[steep] < 0.02 * x.abs()[steep] + 1e-9).all()
    wild = inverted(layer, x, layer(x) + 1)
    assert (wild.abs() <= 5 * (1 + x.abs() + 1)).all()


@pytest.mark.parametrize("size", [(2, 2), (3, 2, 1), (3, 1), (2, 2, 0, 1, False, True)])
def test_max_pool_puts_maxima_back(size):
    pool = nn.MaxPool2d(*size)
    x = torch.randn(2, 3, 7, 7)
    y = torch.randn_like(pool(x))
    found = inverted(pool, x, y)
    options = dict(zip(("kernel_size", "stride", "padding", "dilation"), size, strict=False))
    ceil = len(size) == 6
    _, places = F.max_pool2d(x, **options, ceil_mode=ceil, return_indices=True)
    for image in range(2):
        for channel in range(3):
            wanted = {}
            for place, value in zip(
                places[image, channel].flatten(), y[image, channel].flatten(), strict=True
            ):
                wanted.setdefault(int(place), []).append(float(value))
            flat = found[image, channel].flatten()
            for place in range(49):
                values = wanted.get(place, [0.0])
                assert float(flat[place]) == pytest.approx(sum(values) / len(values), abs=1e-6)


def test_average_pool_spreads_evenly():
    x = torch.randn(1, 2, 4, 4)
    y = torch.randn(1, 2, 2, 2)
    wanted = y.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(inverted(nn.AvgPool2d(2), x, y), wanted)
    assert torch.allclose(inverted(nn.AdaptiveAvgPool2d(2), x, y), wanted)
    overlapping = inverted(nn.AvgPool2d(3, 1, 1), x, torch.ones(1, 2, 4, 4))
    assert torch.allclose(overlapping, torch.ones(1, 2, 4, 4))


def test_what_needs_a_solver_has_no_closed_inverse():
    x = torch.randn(1, 4, 5, 5)
    for layer in (nn.Conv2d(4, 4, 3), nn.Linear(5, 5), of_functions(lambda x: x * x.mean())):
        assert inverted(layer, x) is None


def test_a_gate_written_out_is_an_activation():
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    written = inverted(of_functions(lambda x: x * x.sigmoid()), x, x)
    torch.testing.assert_close(written, inverted(nn.SiLU(), x, x))

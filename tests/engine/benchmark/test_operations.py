import torch
from torch import nn

from pipeline.engine.benchmark.operations import counted


def test_products_and_convolutions_are_counted_forward_and_backward() -> None:
    linear, images = nn.Linear(5, 7), torch.randn(3, 5)
    assert counted(lambda: linear(images)) == 2 * 3 * 5 * 7
    given = images.requires_grad_()
    with torch.no_grad():
        linear.requires_grad_(False)
    both = counted(lambda: torch.autograd.grad(linear(given).sum(), given))
    assert both == 2 * 2 * 3 * 5 * 7
    convolution = nn.Conv2d(3, 4, 2)
    pixels = torch.randn(1, 3, 5, 5)
    assert counted(lambda: convolution(pixels)) == 2 * 4 * 4 * 4 * 3 * 2 * 2

from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.flows import create_flow
from pipeline.models import half_weights
from tests.flows.convolutional import build

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}


def caller(model: nn.Module, method: str, size: int = 32) -> Callable[[], tuple[Tensor, Tensor]]:
    """Return a call of a method under autocast, on images of its own."""
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))

    def call() -> tuple[Tensor, Tensor]:
        with create_flow(method, model) as flow, torch.autocast("cpu", dtype=torch.bfloat16):
            found = flow(images)
        return found.maps, found.logits

    return call


class _Casts(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += "_to_copy" in str(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("vit_tiny_patch16_224", "daam"),
        ("vit_tiny_patch16_224", "rollout"),
        ("beit_base_patch16_224", "daam"),  # puts its bias together of parts
        ("deit_tiny_distilled_patch16_224", "relevance"),
    ],
)
def test_a_transformer_gives_the_same_bits_with_fewer_casts(name: str, method: str) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=5, **SMALL).eval()
    call = caller(model, method)
    wanted = call()
    with _Casts() as before:
        call()
    assert half_weights(model, torch.bfloat16, caller(model, method, 32))
    with _Casts() as after:
        found = call()
    assert after.count < before.count - 2 * 2 * 3, "two blocks of three linear layers and more"
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one, other)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            assert module.weight.dtype == torch.float32


def test_a_convolutional_network_gives_the_same_bits_whether_rounded_or_not() -> None:
    model = build("MobileNetV2")
    call = caller(model, "gradcam", 64)
    wanted = call()
    half_weights(model, torch.bfloat16, call)
    assert all(torch.equal(*pair) for pair in zip(call(), wanted, strict=True))


class _Normalised(nn.Linear):
    def forward(self, tokens: Tensor) -> Tensor:
        return F.linear(tokens, F.normalize(self.weight), self.bias)


class _Looks(nn.Module):
    """Looks at a layer's weights itself."""

    def __init__(self, layer: nn.Module, of: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.of = layer, of

    def forward(self, tokens: Tensor) -> Tensor:
        return self.layer(tokens) * self.of(self.layer.weight)


def test_weights_that_are_used_otherwise_are_put_back() -> None:
    tokens = torch.randn(4, 8)
    for model in (
        _Looks(nn.Linear(8, 8), lambda weight: weight.sum()),
        _Looks(nn.Linear(8, 8), lambda weight: torch.linalg.matrix_norm(weight, 2)),  # no half
    ):
        exact = {name: values.clone() for name, values in model.state_dict().items()}

        def call(model: nn.Module = model) -> list[Tensor]:
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                return [model(tokens)]

        assert not half_weights(model, torch.bfloat16, call)
        for name, values in model.state_dict().items():
            assert torch.equal(values, exact[name])
    own = _Normalised(8, 8)
    assert not half_weights(own, torch.bfloat16, lambda: [own(tokens)])
    assert own.weight.dtype == torch.float32

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import timm
import torch
from torch import nn

from pipeline.errors import UnsupportedModel
from pipeline.flows import create_flow
from pipeline.flows.registry import METHODS
from pipeline.flows.session import frozen, fused
from tests.flows.reference import small


def test_frozen_gives_back_exactly_what_it_took():
    model = small()
    model.head.requires_grad_(False)
    before = [parameter.requires_grad for parameter in model.parameters()]
    with frozen(model):
        assert not any(parameter.requires_grad for parameter in model.parameters())
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    with pytest.raises(KeyError), frozen(model):
        raise KeyError
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    assert any(before)
    assert not all(before)


def test_a_training_model_is_refused_untouched():
    model = small().train()
    with pytest.raises(UnsupportedModel, match=r"call model\.eval"), frozen(model):
        pass
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_fused_switches_only_what_was_off():
    model = small()
    model.blocks[1].attn.fused_attn = False
    with fused(model):
        assert all(block.attn.fused_attn for block in model.blocks)
    assert [block.attn.fused_attn for block in model.blocks] == [True, False, True]


def test_overlapping_sessions_leave_the_model_as_it_was_in_any_order():
    model = small()
    first, second = create_flow("gradcam", model), create_flow("daam", model)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    second.__exit__(None, None, None)
    assert all(parameter.requires_grad for parameter in model.parameters())


def options_of(method: str) -> dict[str, torch.Tensor]:
    if method not in ("fam", "sfam"):
        return {}
    references = torch.randn(6, 16, generator=torch.Generator().manual_seed(0))
    return {"references": references, "reference_labels": torch.arange(6) % 3}


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    convolutional = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2), nn.ReLU(inplace=True), nn.Conv2d(6, 8, 3, 2), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip
    return {
        "transformer": timm.create_model(
            "vit_tiny_patch16_224", img_size=32, embed_dim=16, depth=3, num_heads=2, num_classes=5
        ).eval(),
        "convolutional": convolutional.eval(),
    }


@pytest.mark.parametrize("method", METHODS)
def test_threads_that_share_a_method_get_the_maps_that_each_would_get_alone(method, networks):
    model = networks["convolutional" if method == "naflow" else "transformer"]
    batches = torch.randn(4, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with create_flow(method, model, **options_of(method)) as flow:
        alone = [flow(images).maps for images in batches]
        start = threading.Barrier(4)

        def explain(images: torch.Tensor) -> list[torch.Tensor]:
            start.wait()
            with torch.no_grad():
                model(images)  # a bare pass disturbs nobody
            return [flow(images).maps for _ in range(3)]

        with ThreadPoolExecutor(4) as threads:
            together = list(threads.map(explain, batches))
    for maps, expected in zip(together, alone, strict=True):
        assert all(torch.equal(found, expected) for found in maps)

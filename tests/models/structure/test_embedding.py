import pytest
import timm
import torch
from torch import nn

from pipeline.errors import UnsupportedModel
from pipeline.flows import create_flow
from pipeline.models.structure.embedding import embed, recorded_embeddings

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
CASES = {
    "class token": ("vit_tiny_patch16_224", SMALL),
    "average": ("vit_tiny_patch16_224", {**SMALL, "global_pool": "avg", "class_token": False}),
    "attention pool": ("vit_tiny_patch16_224", {**SMALL, "global_pool": "map"}),
    "residual": ("resnet10t", {}),
    "projector": ("mobilenetv3_small_050", {}),
}


def build(case: str, classes: int) -> nn.Module:
    name, options = CASES[case]
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=classes, **options).eval()


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_the_classifier_reads_the_embedding(case: str) -> None:
    model, images = build(case, 5), torch.randn(3, 3, 32, 32)
    embedding = embed(model, images)
    assert embedding.shape == (3, model.head_hidden_size)
    assert torch.equal(model.get_classifier()(embedding), model(images))


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_a_model_without_a_head_returns_the_embedding(case: str) -> None:
    model, images = build(case, 0), torch.randn(3, 3, 32, 32)
    assert torch.equal(embed(model, images), model(images))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("classes", [5, 0])
@torch.no_grad()
def test_embeddings_are_recorded_on_the_way(case: str, classes: int) -> None:
    model, images = build(case, classes), torch.randn(3, 3, 32, 32)
    plain, wanted = model(images), embed(model, images)
    with recorded_embeddings(model) as recorder:
        assert torch.equal(model(images), plain)
        assert torch.equal(recorder.last, wanted)
    assert "forward_head" not in vars(model)


def test_recording_leaves_the_graph_alone() -> None:
    model = build("class token", 5)
    images = torch.randn(2, 3, 32, 32, requires_grad=True)
    (wanted,) = torch.autograd.grad(model(images).sum(), images)
    with recorded_embeddings(model) as recorder:
        (found,) = torch.autograd.grad(model(images).sum(), images)
    assert torch.equal(found, wanted)
    assert not recorder.last.requires_grad


def test_a_pass_without_the_head_has_no_embedding() -> None:
    model = build("class token", 5)
    with recorded_embeddings(model) as recorder, pytest.raises(UnsupportedModel, match="features"):
        _ = recorder.last


def test_a_model_of_another_form_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="use a timm model"):
        embed(nn.Linear(3, 3), torch.zeros(1, 3))


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_pooled_embeddings_leave_out_the_neck(case: str) -> None:
    model, images = build(case, 5), torch.randn(3, 3, 32, 32)
    features = model.forward_features(images)
    if features.ndim == 3:
        wanted = features[:, model.num_prefix_tokens :].mean(1)
    else:
        wanted = features.mean((2, 3))
    with recorded_embeddings(model, "pooled") as recorder:
        model(images)
    torch.testing.assert_close(recorder.last, wanted)
    torch.testing.assert_close(embed(model, images, "pooled"), wanted)


@pytest.mark.parametrize(
    ("case", "method"), [("class token", "daam"), ("residual", "naflow"), ("residual", "gradcam")]
)
def test_recording_changes_no_map(case: str, method: str) -> None:
    model, images = build(case, 5), torch.randn(2, 3, 32, 32)
    with create_flow(method, model) as flow:
        wanted = flow(images).maps
    with recorded_embeddings(model) as recorder, create_flow(method, model) as flow:
        torch.testing.assert_close(flow(images).maps, wanted, rtol=1e-4, atol=1e-6)
    assert recorder.last.shape == (2, model.head_hidden_size)

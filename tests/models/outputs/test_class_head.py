import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from pipeline.errors import ConfigError
from pipeline.flows import create_flow
from pipeline.measures.prediction import predictions
from pipeline.models import LoadedModel, embed, with_outputs
from tests.flows.reference import small

NAMES = ["test_vit", "test_resnet", "test_efficientnet", "deit_tiny_distilled_patch16_224"]


def loaded(model, notes=()) -> LoadedModel:
    model.eval().requires_grad_(False)
    return LoadedModel(model, "0" * 64, {}, model.num_classes, notes)


def build(name: str, classes: int):
    torch.manual_seed(0)
    options = {"img_size": 64, "depth": 2} if "deit" in name else {}
    return timm.create_model(name, num_classes=classes, **options)


@pytest.mark.parametrize("name", NAMES)
def test_one_output_says_two_classes(name: str) -> None:
    model, images = build(name, 1).eval(), torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        logit, before = model(images)[:, 0], embed(model, images)
    found = with_outputs(loaded(model), name)
    assert (found.num_classes, found.model.num_classes) == (2, 2)
    assert "class 0 is negative, class 1 positive" in found.notes[0]
    with torch.no_grad():
        logits = found.model(images)
        assert torch.equal(embed(found.model, images), before)
    said = predictions(logits)
    assert said.pred.tolist() == (logit > 0).long().tolist()
    torch.testing.assert_close(said.confidence, torch.maximum(logit, -logit).sigmoid())


def test_both_classes_of_one_output_have_maps_of_their_own() -> None:
    images = torch.randn(2, 3, 24, 40)
    model = small(num_classes=1)
    twin = with_outputs(loaded(small(num_classes=1)), "vit").model
    with create_flow("daam", model) as flow:
        expected = flow(images).maps / 2
    with create_flow("daam", twin) as flow:
        positive = flow(images, torch.ones(2, dtype=torch.long)).maps
        negative = flow(images, torch.zeros(2, dtype=torch.long)).maps
    torch.testing.assert_close(positive, expected)
    assert negative.sum() > 0
    assert not torch.allclose(negative, positive)


@pytest.mark.parametrize("method", ["gradcam", "input_gradient", "activation", "naflow", "fam"])
def test_every_method_sees_two_classes(method: str) -> None:
    model = with_outputs(loaded(build("test_resnet", 1)), "test_resnet").model
    options = {}
    if method == "fam":
        options = {
            "references": torch.randn(4, model.num_features),
            "reference_labels": torch.tensor([0, 1, 0, 1]),
        }
    with create_flow(method, model, **options) as flow:
        assert flow(torch.randn(2, 3, 64, 64)).logits.shape == (2, 2)


def test_independent_labels() -> None:
    found = with_outputs(loaded(build("test_vit", 5)), "test_vit", "sigmoid")
    assert (found.num_classes, found.independent) == (5, True)
    assert not with_outputs(loaded(build("test_vit", 5)), "test_vit").independent


def test_what_the_outputs_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="has one output, whose softmax is always 1"):
        with_outputs(loaded(build("test_vit", 1)), "test_vit", "softmax")
    with pytest.raises(ConfigError, match="has no classifier"):
        with_outputs(loaded(build("test_vit", 0)), "test_vit", "sigmoid")


CLIP = "vit_base_patch16_clip_224"
SMALL = {"img_size": 64, "embed_dim": 24, "depth": 2, "num_heads": 2}


def test_a_projection_is_no_classifier() -> None:
    torch.manual_seed(0)
    model = timm.create_model(CLIP, num_classes=512, **SMALL).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        projected = model(images)
    found = with_outputs(loaded(model), f"{CLIP}.openai")
    assert found.num_classes == 0
    assert "are an image embedding (CLIP), not classes" in found.notes[0]
    assert torch.equal(embed(found.model, images), projected)
    for name, classes, output in ((CLIP, 7, "auto"), (CLIP, 512, "softmax"), ("vit", 512, "auto")):
        model = timm.create_model(CLIP, num_classes=classes, **SMALL)
        kept = with_outputs(loaded(model), name, output)
        assert (kept.num_classes, kept.notes) == (classes, ())


@pytest.mark.parametrize(
    ("name", "width", "options"),
    [
        (CLIP, 512, SMALL),
        ("vit_base_patch16_siglip_224", 0, SMALL),
        ("resnet50_clip", 32, {}),
    ],
)
def test_prompts_make_a_classifier(tmp_path, name: str, width: int, options: dict) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=width, **options).eval()
    images = torch.randn(2, 3, 64, 64) if options else torch.randn(2, 3, 224, 224)
    prompts = torch.randn(3, width or model.num_features)
    with torch.no_grad():
        expected = 10 * F.normalize(model(images)) @ F.normalize(prompts).T - 2
    tensors = {"embeddings": prompts, "scale": torch.tensor(10.0), "bias": torch.tensor(-2.0)}
    path = tmp_path / "prompts.safetensors"
    save_file(tensors, path, {"classes": '["cat", "dog", "owl"]'})
    found = with_outputs(loaded(model), name, class_embeddings=str(path))
    assert found.num_classes == 3
    assert found.weights_sha256 != "0" * 64
    assert found.model.pretrained_cfg["label_names"] == ["cat", "dog", "owl"]
    with torch.no_grad():
        torch.testing.assert_close(found.model(images), expected)
    for method in ("daam",) if "vit" in name else ("gradcam",):
        with create_flow(method, found.model) as flow:
            result = flow(images)
        torch.testing.assert_close(result.logits, expected, rtol=1e-4, atol=1e-4)
        assert result.maps.flatten(1).sum(1).all()


def test_prompts_of_another_space_are_refused(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 9), np.float32))
    with pytest.raises(ConfigError, match="have 9 channels, the model's outputs 5"):
        with_outputs(loaded(small()), "vit", class_embeddings=str(tmp_path / "x.npy"))

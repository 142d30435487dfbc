import pytest
import timm
import torch
from torch import nn

from pipeline.errors import ConfigError
from pipeline.flows import create_flow
from pipeline.models import embed
from pipeline.models.structure.activations import last_activations
from tests.flows import similarity as definition

SMALL = {"img_size": (24, 40), "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
CASES = {
    "class token": ("vit_tiny_patch16_224", SMALL),
    "average": ("vit_tiny_patch16_224", {**SMALL, "global_pool": "avg"}),
    "residual": ("resnet10t", {}),
    "projector": ("mobilenetv3_small_050", {}),
    "norm": ("convnext_atto", {}),
}
IMAGES = 32


def build(case: str, classes: int = 0) -> tuple[nn.Module, torch.Tensor]:
    name, options = CASES[case]
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=classes, **options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and "vit" in name:
                parameter.normal_(std=0.15)
    size = (24, 40) if "vit" in name else (64, 64)
    return model, torch.randn(IMAGES, 3, *size)


def bank(model: nn.Module, images: torch.Tensor, kind: str = "model") -> dict[str, torch.Tensor]:
    """Forty references around the images' own embeddings, of five classes."""
    with torch.no_grad():
        own = embed(model, images, kind)
    spread = own.std(0, keepdim=True) + 1e-3
    generator = torch.Generator().manual_seed(5)
    near = own[torch.arange(40) % IMAGES]
    references = near + spread * torch.randn(40, own.shape[1], generator=generator)
    return {"references": references, "reference_labels": torch.arange(40) % 5}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("by", ["prototypes", "neighbours"])
@pytest.mark.parametrize(
    ("method", "signed"), [("fam", False), ("fam", True), ("euclidean", False)]
)
def test_maps_as_defined_where_the_embedding_is_pooled(
    case: str, by: str, method: str, signed: bool
) -> None:
    model, images = build(case)
    images = images[:7]
    given = bank(model, images.repeat(5, 1, 1, 1)[:IMAGES], "pooled")
    options = {**given, "by": by, "k": 6, "embedding": "pooled", "signed": signed}
    if method == "euclidean":
        options["similarity"] = "euclidean"
    with create_flow("sfam" if method == "euclidean" else "fam", model, **options) as flow:
        found = flow(images)
    assert found.maps.shape[:2] == (7, 1)
    assert (found.maps >= 0).all()
    kind = "cosine" if method == "fam" else "euclidean"
    for image in range(7):
        activations = last_activations(model, images[image : image + 1], "pooled").maps[0]
        feature = activations.double().mean((1, 2))
        parts, label = definition.explained(
            feature, given["references"], given["reference_labels"], by, k=6, similarity=kind
        )
        expected = definition.pooled_map(activations, definition.weights_of(parts, signed))
        assert found.target[image] == label
        close(found.extras["signed"][image, 0], expected)
        shown = expected.relu() if signed else expected - expected.min().clamp(max=0)
        torch.testing.assert_close(found.maps[image, 0].double(), shown, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", ["residual", "projector", "norm", "average"])
def test_through_the_neck_the_weights_come_back_by_the_jacobian(case: str) -> None:
    model, images = build(case)
    images = images[:2]
    given = bank(model, images.repeat(16, 1, 1, 1))
    with create_flow("fam", model, **given) as flow:
        found = flow(images)
    for image in range(2):
        with torch.no_grad():
            features = model.forward_features(images[image : image + 1])
            feature = model.forward_head(features, pre_logits=True)[0]
        weights = definition.weights_of(
            definition.explained(
                feature, given["references"], given["reference_labels"], "prototypes"
            )[0]
        )
        if features.ndim == 3:
            expected = _token_map(model, features[0], weights)
        else:
            expected = definition.jacobian_map(model, features[0], weights)
            model.float()
        close(found.extras["signed"][image, 0], expected)


def _token_map(model: nn.Module, tokens: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    jacobian = torch.autograd.functional.jacobian(
        lambda t: model.forward_head(t[None], pre_logits=True)[0], tokens
    )
    pulled = torch.einsum("d,dnc->nc", weights.float(), jacobian)
    patches = (pulled * tokens)[model.num_prefix_tokens :].sum(1)
    return patches.reshape(3, 5) * 15


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    scale = expected.abs().max().double()
    assert scale > 0
    assert (found.double() - expected.double()).abs().max() <= 1e-4 * scale


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("by", ["prototypes", "neighbours"])
def test_batch_mates_do_not_matter(case: str, by: str) -> None:
    model, images = build(case)
    given = bank(model, images)
    own = torch.arange(IMAGES)
    order = torch.randperm(IMAGES)
    with create_flow("fam", model, **given, by=by) as flow:
        together = flow(images, exclude=own)
        shuffled = flow(images[order], exclude=own[order])
        alone = [flow(images[i : i + 1], exclude=own[i : i + 1]) for i in range(3)]
    scale = together.maps.amax((1, 2, 3), keepdim=True)
    assert ((shuffled.maps - together.maps[order]).abs() <= 1e-4 * scale[order]).all()
    for image, single in enumerate(alone):
        assert ((single.maps[0] - together.maps[image]).abs() <= 1e-4 * scale[image]).all()
        assert single.target[0] == together.target[image]


def test_float64_is_kept() -> None:
    model, images = build("norm")
    given = bank(model, images)
    with create_flow("fam", model, **given) as flow:
        single = flow(images[:2])
    model, images = model.double(), images.double()
    given = {**given, "references": given["references"].double()}
    with create_flow("fam", model, **given) as flow:
        double = flow(images[:2])
    close(single.extras["signed"], double.extras["signed"])


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", ["class token", "residual"])
def test_lower_precision_keeps_the_order_of_places(case: str, precision: torch.dtype) -> None:
    model, images = build(case)
    images = images[:8]
    given = bank(model, images.repeat(4, 1, 1, 1))
    label = torch.zeros(8, dtype=torch.int64)
    with create_flow("fam", model, **given) as flow:
        exact = flow(images, label).maps.flatten(1)
        with torch.autocast("cpu", dtype=precision):
            coarse = flow(images, label).maps.flatten(1)
    ranks = [maps.argsort(1).argsort(1).float() for maps in (exact, coarse)]
    correlation = torch.stack(
        [torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(*ranks, strict=True)]
    )
    assert correlation.mean() > (0.98 if precision == torch.float16 else 0.85)


def test_degenerate_inputs_are_finite() -> None:
    model, images = build("residual")
    labels = torch.tensor([0, 1])
    for references in (torch.zeros(2, 512), torch.ones(2, 512)):
        options = {"references": references, "reference_labels": labels}
        for method in ("fam", "sfam"):
            with create_flow(method, model, **options) as flow:
                found = flow(torch.zeros_like(images[:2]))
                tiny = flow(images[:1, :, :32, :32])
            assert found.maps.isfinite().all()
            assert found.logits.isfinite().all()
            assert tiny.maps.shape == (1, 1, 1, 1)
            assert tiny.maps.isfinite().all()


def test_sfam_with_cosines_is_fam() -> None:
    model, images = build("residual")
    given = bank(model, images)
    with create_flow("fam", model, **given) as fam, create_flow("sfam", model, **given) as sfam:
        assert torch.equal(fam(images[:3]).maps, sfam(images[:3]).maps)


def test_any_label_can_be_explained_and_pairs_listed() -> None:
    model, images = build("residual")
    given = bank(model, images)
    with create_flow("fam", model, **given) as flow:
        assert flow(images[:2], torch.tensor([3, 1])).target.tolist() == [3, 1]
    with create_flow("fam", model, **given, by="table") as flow:
        listed = torch.tensor([[4, 9], [7, -1]])
        assert flow(images[:2], listed).target.tolist() == [4, 2]


def test_the_model_is_given_back_as_it_was() -> None:
    model, images = build("class token")
    with create_flow("fam", model, **bank(model, images)) as flow:
        flow(images[:1])
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not model.blocks[-1]._forward_pre_hooks
    with pytest.raises(ValueError, match="inside its context"):
        flow(images[:1])


def test_distances_have_no_signs_to_keep() -> None:
    model, images = build("residual")
    with pytest.raises(ValueError, match="all have one sign"):
        create_flow("sfam", model, **bank(model, images), similarity="euclidean", signed=True)


def test_without_references_it_says_what_to_give() -> None:
    with pytest.raises(ConfigError, match=r"give flow\.references"):
        create_flow("fam", build("residual")[0])


def test_references_of_another_width_are_refused() -> None:
    model, images = build("residual")
    options = {"references": torch.randn(3, 7), "reference_labels": torch.arange(3)}
    with (
        create_flow("fam", model, **options) as flow,
        pytest.raises(ValueError, match="references have 7 channels, the model's embedding 512"),
    ):
        flow(images[:1])

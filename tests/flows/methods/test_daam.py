import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UnsupportedModel
from pipeline.flows import create_flow
from pipeline.images.transform import InputTransform
from pipeline.models import load_model
from tests.flows import reference
from tests.flows.reference import photographs_like, see, small


def assert_same_maps(found, wanted, tolerance=1e-5):
    """Equal to 1e-5 of each map's maximum: (…, L, h, w) or (…, L, n)."""
    wanted = wanted.reshape(found.shape)
    scale = wanted.flatten(-2).amax(dim=-1)[..., None, None]
    assert ((found - wanted).abs() <= tolerance * scale).all(), (
        (found - wanted).abs() / scale
    ).max()


@pytest.mark.parametrize("kind", ["token", "distilled", "avg", "map"])
@pytest.mark.parametrize("count", [1, 7])
def test_equals_the_definition_whatever_is_read(kind, count):
    name = "deit_tiny_distilled_patch16_224" if kind == "distilled" else "vit_tiny_patch16_224"
    pool = "token" if kind == "distilled" else kind
    registers = {} if kind == "distilled" else {"reg_tokens": 2}
    model = small(name, global_pool=pool, **registers)
    images = photographs_like(model, count)
    with create_flow("daam", model) as flow:
        result = flow(images)
    layers = ("blocks.0", "blocks.1", "blocks.2", *(["attn_pool"] if kind == "map" else []))
    assert result.maps.shape == (count, len(layers), 3, 5)
    assert result.maps.dtype == torch.float32
    assert result.layers == layers
    assert result.maps.amax(dim=(0, 2, 3)).gt(0).all()
    for index, image in enumerate(images):
        wanted = see(model, image)
        assert_same_maps(result.maps[index], reference.daam(wanted))
        assert torch.allclose(result.logits[index].double(), wanted.result, atol=1e-5)
        assert result.target[index] == wanted.target
        kept = [seen.matrix[:, seen.rows, : seen.prefix].sum(-1).mean() for seen in wanted.layers]
        found = result.extras["prefix_mass"][index].double()
        assert torch.allclose(found, torch.stack(kept), atol=1e-6)
        norm = result.extras["token_norm"][index].double()
        assert torch.allclose(norm.flatten(), wanted.token_norm, rtol=1e-5)


def test_equals_the_reference_in_a_batch_of_32_with_given_targets():
    model = small()
    images = photographs_like(model, 32)
    targets = torch.arange(32) % 5
    with create_flow("daam", model) as flow:
        result = flow(images, targets)
    assert torch.equal(result.target, targets)
    for index in range(32):
        wanted = see(model, images[index], target=int(targets[index]))
        assert_same_maps(result.maps[index], reference.daam(wanted))


@settings(max_examples=12, deadline=None)
@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    patch=st.sampled_from([4, (2, 4)]),
    heads=st.integers(1, 3),
    registers=st.integers(0, 2),
    count=st.integers(1, 3),
    seed=st.integers(0, 100),
)
def test_any_shape_equals_the_reference(rows, columns, patch, heads, registers, count, seed):
    height, width = (patch, patch) if isinstance(patch, int) else patch
    model = small(
        seed=seed,
        img_size=(rows * height, columns * width),
        patch_size=patch,
        num_heads=heads,
        embed_dim=6 * heads,
        depth=2,
        reg_tokens=registers,
    )
    images = photographs_like(model, count, seed=seed)
    with create_flow("daam", model) as flow:
        result = flow(images)
    assert result.maps.shape == (count, 2, rows, columns)
    for index, image in enumerate(images):
        wanted = reference.daam(see(model, image)).reshape(result.maps[index].shape)
        assert (result.maps[index] - wanted).abs().max() <= 1e-5 * wanted.max() + 1e-8


def test_gated_attention_equals_the_reference_with_gated_values():
    from timm.layers import Attention

    model = small()
    torch.manual_seed(3)
    for block in model.blocks:
        plain = block.attn
        block.attn = Attention(24, num_heads=3, qkv_bias=True, gated=True).eval()
        block.attn.load_state_dict(plain.state_dict(), strict=False)
    image = photographs_like(model, 1)
    with create_flow("daam", model) as flow:
        result = flow(image)
    assert_same_maps(result.maps[0], reference.daam(see(model, image[0])))


def test_dynamic_image_size_follows_each_batch():
    model = small(dynamic_img_size=True)
    with create_flow("daam", model) as flow:
        for size in ((16, 32), (40, 24)):
            images = torch.randn(2, 3, *size)
            result = flow(images)
            assert result.maps.shape[-2:] == (size[0] // 8, size[1] // 8)
            assert_same_maps(result.maps[1], reference.daam(see(model, images[1])))


def test_unfused_attention_gives_the_same():
    model = small()
    images = photographs_like(model, 2)
    with create_flow("daam", model) as flow:
        fused = flow(images)
    for block in model.blocks:
        block.attn.fused_attn = False
    with create_flow("daam", model) as flow:
        manual = flow(images)
    assert_same_maps(manual.maps, fused.maps)
    assert not any(block.attn.fused_attn for block in model.blocks)


def state(model):
    return (
        [parameter.requires_grad for parameter in model.parameters()],
        [parameter.grad is None for parameter in model.parameters()],
        [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
        [getattr(m, "fused_attn", None) for m in model.modules()],
    )


def test_the_model_is_as_it_was_after_the_context_and_after_errors():
    model = small()
    model.blocks[1].requires_grad_(False)
    model.blocks[2].attn.fused_attn = False
    before = state(model)
    images = photographs_like(model, 2)
    plain = model(images)
    with create_flow("daam", model) as flow:
        assert not any(parameter.requires_grad for parameter in model.parameters())
        flow(images)
        with pytest.raises(UnsupportedModel):
            flow(torch.randn(1, 3, 9, 9))  # refused by the patch embedding, in mid-flight
        assert torch.allclose(flow(images).logits, plain, atol=1e-5)
        assert torch.allclose(model(images), plain, atol=1e-5)  # itself still usable
    assert state(model) == before
    with pytest.raises(KeyError), create_flow("daam", model):
        raise KeyError
    assert state(model) == before
    with pytest.raises(ValueError, match="inside its context"):
        flow(images)


def test_bfloat16_autocast_stays_close_and_returns_float32():
    model = small()
    images = photographs_like(model, 4)
    with create_flow("daam", model) as flow:
        wanted = flow(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = flow(images, wanted.target)
    assert found.maps.dtype == found.logits.dtype == torch.float32
    scale = wanted.maps.amax(dim=(-2, -1), keepdim=True)
    assert ((found.maps - wanted.maps).abs() / scale).mean() < 0.02
    assert not torch.equal(found.maps, wanted.maps)


@pytest.mark.parametrize("targets", [[0, 5], [-1, 0], [0], [[0], [1]], [0.0, 1.0]])
def test_targets_that_are_no_classes_are_refused(targets):
    model = small()
    with create_flow("daam", model) as flow, pytest.raises(ValueError, match="targets must be"):
        flow(photographs_like(model, 2), torch.tensor(targets))


def test_int32_targets_are_welcome():
    model = small()
    images = photographs_like(model, 2)
    with create_flow("daam", model) as flow:
        found = flow(images, torch.tensor([1, 2], dtype=torch.int32))
        assert torch.equal(found.maps, flow(images, torch.tensor([1, 2])).maps)
    assert found.target.dtype == torch.int64


@pytest.mark.parametrize("options", [{}, {"scale_attn_norm": True}], ids=["plain", "sub-norm"])
def test_contributions_are_the_slope_of_the_logit_in_the_attention_output(options):
    """Σ_j map[j] without ReLUs is ⟨T, g⟩: what the logit does when T grows, by differences."""
    model = small(global_pool="avg", class_token=False, **options).double()
    image = photographs_like(model, 1).double()
    seeing = see(model, image[0])
    attention = model.blocks[1].attn
    with torch.no_grad():
        scores = []
        for growth in (1 + 1e-6, 1 - 1e-6):
            inner = attention.norm
            handle = inner.register_forward_pre_hook(lambda m, x, factor=growth: (x[0] * factor,))
            for module in model.modules():
                if hasattr(module, "fused_attn"):
                    module.fused_attn = False
            scores.append(float(model(image)[0, seeing.target]))
            handle.remove()
    slope = (scores[0] - scores[1]) / 2e-6
    seen = seeing.layers[1]
    parts = torch.einsum("hrj,hjd,hrd->j", seen.matrix, seen.value, seen.gradient)
    assert float(parts.sum()) == pytest.approx(slope, rel=1e-5, abs=1e-9)
    with create_flow("daam", model, relu=False) as flow:
        found = flow(image).maps[0, 1].flatten().double()
    assert torch.allclose(found, parts.clamp(min=0), rtol=1e-5, atol=1e-8)


def test_a_model_in_training_mode_is_refused():
    with (
        pytest.raises(UnsupportedModel, match=r"call model\.eval"),
        create_flow("daam", small().train()),
    ):
        pass


def test_an_attention_changed_before_its_projection_is_refused():
    model = small()
    model.blocks[1].attn.proj.register_forward_pre_hook(lambda m, x: (2 * x[0],))
    with create_flow("daam", model) as flow, pytest.raises(UnsupportedModel, match="changes"):
        flow(photographs_like(model, 1))


def test_bank_and_labels_come_together():
    with pytest.raises(ValueError, match="bank and bank_labels together"):
        create_flow("daam", small(), bank=torch.randn(3, 24))


@pytest.mark.parametrize("pool", ["token", "avg"])
@pytest.mark.parametrize("relu", [False, True])
def test_a_headless_model_is_explained_by_its_bank(pool, relu):
    model = small(num_classes=0, global_pool=pool)
    images = photographs_like(model, 4)
    members = torch.randn(40, 24, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(40) % 4
    options = {"bank": members, "bank_labels": labels, "k": 9, "temperature": 0.2}
    with create_flow("daam", model, **options, relu=relu) as flow:
        result, labelled = flow(images), flow(images, torch.tensor([0, 1, 2, 3]))
    assert result.logits.shape == (4, 4)
    for index, image in enumerate(images):
        feature = see(model, image).result
        for found, target in ((result, None), (labelled, index)):
            weights, votes = reference.channel_weights(feature, members, labels, target, 9, 0.2)
            assert found.target[index] == (votes.argmax() if target is None else target)
            shares = found.logits[index].double().softmax(0)
            assert torch.allclose(shares, votes / votes.sum(), atol=1e-4)
            wanted = reference.daam(see(model, image, weights=weights), relu=relu)
            maps = found.maps[index].flatten(1)
            assert (maps - wanted).abs().max() <= 1e-4 * wanted.max()


def test_targets_are_labels_of_the_bank():
    model = small()
    options = {"bank": torch.randn(10, 24), "bank_labels": torch.arange(10)}
    with create_flow("daam", model, **options) as flow:
        assert flow(photographs_like(model, 1), torch.tensor([9])).target == 9
        with pytest.raises(ValueError, match=r"classes 0 … 9"):
            flow(photographs_like(model, 1), torch.tensor([10]))


@pytest.mark.photographs
def test_real_weights_and_photographs(photographs):
    from PIL import Image

    loaded = load_model(
        "vit_tiny_patch16_224", str(photographs / "weights/vit_tiny_patch16_224.safetensors")
    )
    transform = InputTransform.from_dict(loaded.input)
    files = sorted((photographs / "imagenet_val_1300").rglob("*.*"))
    files = [file for file in files if file.suffix.lower() in (".jpg", ".jpeg", ".png")][:4]
    pixels = [transform(Image.open(file).convert("RGB")) for file in files]
    images = transform.normalise(torch.stack([torch.from_numpy(image) for image in pixels]))
    with create_flow("daam", loaded.model) as flow:
        result = flow(images)
    for index, image in enumerate(images):
        wanted = see(loaded.model, image)
        assert_same_maps(result.maps[index], reference.daam(wanted), tolerance=5e-5)
        assert (result.logits[index] - wanted.result).abs().max() < 1e-4

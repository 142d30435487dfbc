import pytest
import timm

from pipeline.errors import UnsupportedModel
from pipeline.models import anatomy

SMALL = {
    "img_size": (32, 48),
    "patch_size": 16,
    "embed_dim": 24,
    "depth": 2,
    "num_heads": 3,
    "num_classes": 5,
}


def build(name="vit_tiny_patch16_224", **options):
    return timm.create_model(name, **{**SMALL, **options})


def test_a_plain_transformer():
    model = build()
    parts = anatomy(model)
    assert parts.blocks == tuple(model.blocks)
    assert parts.layers == ("blocks.0", "blocks.1")
    assert parts.attentions == (model.blocks[0].attn, model.blocks[1].attn)
    assert (parts.num_prefix_tokens, parts.readout, parts.num_classes) == (1, (0,), 5)
    assert parts.grid(32, 48) == (2, 3)


def test_distilled_models_read_two_tokens():
    parts = anatomy(build("deit_tiny_distilled_patch16_224"))
    assert (parts.num_prefix_tokens, parts.readout) == (2, (0, 1))


def test_registers_are_prefix_tokens_but_not_read():
    parts = anatomy(build(reg_tokens=4))
    assert (parts.num_prefix_tokens, parts.readout) == (5, (0,))


def test_the_grid_follows_the_input_not_the_square_root():
    parts = anatomy(build(dynamic_img_size=True))
    assert parts.grid(64, 16) == (4, 1)
    padded = anatomy(build(dynamic_img_size=True, dynamic_img_pad=True))
    assert padded.grid(65, 17) == (5, 2)


REFUSED = {
    "average pooled": (
        ("vit_tiny_patch16_224", {**SMALL, "global_pool": "avg"}),
        r"pools its tokens \(avg\).*global_pool: token",
    ),
    "no class token": (
        ("vit_tiny_patch16_224", {**SMALL, "global_pool": "avg", "class_token": False}),
        "has no class token; use a model that has one",
    ),
    "attention pooled": (
        ("vit_base_patch16_siglip_224", {**SMALL}),
        "has no class token; use a model that has one",
    ),
    "headless": (("vit_tiny_patch16_224", {**SMALL, "num_classes": 0}), "has no classifier"),
    "windows": (("swin_tiny_patch4_window7_224", {}), "not a vision transformer of one resolution"),
    "convolutions": (("resnet18", {}), "not a vision transformer of one resolution"),
    "mobile convolutions": (("mobilenetv2_100", {}), "not a vision transformer of one resolution"),
    "normalised attention": (
        ("vit_tiny_patch16_224", {**SMALL, "scale_attn_norm": True}),
        "normalises the attention's output",
    ),
    "difference of attentions": (
        ("vit_tiny_patch16_224", {**SMALL, "num_heads": 2, "attn_layer": "diff"}),
        "subtracts two attentions",
    ),
    "parallel attentions": (
        ("vit_small_patch16_18x2_224", {"depth": 1, "embed_dim": 24, "num_heads": 2}),
        "has no plain attention",
    ),
    "class attention": (("cait_xxs24_224", {}), "has no plain attention"),
    "cross covariance": (("xcit_nano_12_p16_224", {}), "how its patches lie"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_daam_cannot_see_exactly_is_refused_with_a_way_out(kind):
    (name, options), sentence = REFUSED[kind]
    with pytest.raises(UnsupportedModel, match=sentence) as caught:
        anatomy(timm.create_model(name, **options))
    assert str(caught.value).startswith(name)


def test_gradient_checkpointing_is_refused():
    model = build()
    model.set_grad_checkpointing()
    with pytest.raises(UnsupportedModel, match=r"set_grad_checkpointing\(False\)"):
        anatomy(model)

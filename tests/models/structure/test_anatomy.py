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
    assert parts.names == ("blocks.0", "blocks.1")
    assert [layer.block for layer in parts.layers] == list(model.blocks)
    assert [layer.attention for layer in parts.layers] == [block.attn for block in model.blocks]
    for layer in parts.layers:
        assert (layer.rows, layer.prefix, layer.direct) == (slice(0, 1), 1, True)
    assert (parts.readout, parts.last, parts.num_prefix_tokens) == ("token", model.blocks[1], 1)
    assert (parts.num_classes, parts.grid(32, 48)) == (5, (2, 3))


READ = {  # model, options → readout, rows and prefix of the first and last layer
    "class token behind registers": ("vit_tiny_patch16_224", {"reg_tokens": 4}, "token", (0, 1, 5)),
    "distilled": ("deit_tiny_distilled_patch16_224", {}, "token", (0, 2, 2)),
    "average": ("vit_tiny_patch16_224", {"global_pool": "avg"}, "patches", (1, None, 1)),
    "average with the class token": (
        "vit_tiny_patch16_224",
        {"global_pool": "avg", "pool_include_prefix": True},
        "patches",
        (0, None, 1),
    ),
    "average without": (
        "vit_tiny_patch16_224",
        {"global_pool": "avg", "class_token": False},
        "patches",
        (0, None, 0),
    ),
    "attention pool": ("vit_base_patch16_siglip_224", {}, "pool", (0, None, 0)),
    "attention pool of patches": (
        "vit_tiny_patch16_224",
        {"global_pool": "map", "reg_tokens": 2},
        "pool",
        (3, None, 3),
    ),
    "headless": ("vit_tiny_patch16_224", {"num_classes": 0}, "token", (0, 1, 1)),
}


@pytest.mark.parametrize("kind", READ)
def test_what_the_model_reads(kind):
    name, options, readout, expected = READ[kind]
    parts = anatomy(build(name, **options))
    first = parts.layers[0]
    assert parts.readout == readout
    assert (first.rows.start, first.rows.stop, first.prefix) == expected


def test_an_attention_pool_is_a_layer_of_its_own():
    model = build("vit_tiny_patch16_224", global_pool="map", reg_tokens=2)
    pool = anatomy(model).layers[-1]
    assert (pool.name, pool.block, pool.rows, pool.prefix) == (
        "attn_pool",
        model.attn_pool,
        slice(0, 1),
        0,
    )


@pytest.mark.parametrize(
    ("name", "names", "grid"),
    [
        ("cait_xxs24_224", ("blocks_token_only.0", "blocks_token_only.1"), (2, 3)),
        ("xcit_nano_12_p16_224", ("cls_attn_blocks.0", "cls_attn_blocks.1"), (2, 3)),
    ],
)
def test_only_class_attention_is_a_layer(name, names, grid):
    parts = anatomy(build(name))
    assert (parts.readout, parts.names, parts.grid(32, 48)) == ("class attention", names, grid)
    assert parts.num_prefix_tokens == 0
    assert parts.layers[0].prefix == 1


@pytest.mark.parametrize(
    "options", [{"scale_attn_norm": True}, {"scale_attn_norm": False}], ids=["norm", "plain"]
)
def test_a_norm_before_the_projection_is_not_direct(options):
    layer = anatomy(build(**options)).layers[0]
    assert layer.direct is not options["scale_attn_norm"]


def test_the_grid_follows_the_input_not_the_square_root():
    parts = anatomy(build(dynamic_img_size=True))
    assert parts.grid(64, 16) == (4, 1)
    padded = anatomy(build(dynamic_img_size=True, dynamic_img_pad=True))
    assert padded.grid(65, 17) == (5, 2)


REFUSED = {
    "no pooling": (("vit_tiny_patch16_224", {**SMALL, "global_pool": ""}), "global_pool: none"),
    "refined patches": (
        ("vit_tiny_patch16_224", {**SMALL, "global_pool": "prr"}),
        "AttentionPoolPrr, which has no latent query; use flow.method",
    ),
    "class attention ignored": (
        ("cait_xxs24_224", {**SMALL, "global_pool": "avg"}),
        r"pools its tokens \(avg\).*use flow.method",
    ),
    "windows": (("swin_tiny_patch4_window7_224", {}), "not a vision transformer of one resolution"),
    "convolutions": (("resnet18", {}), "not a vision transformer of one resolution"),
    "mobile convolutions": (("mobilenetv2_100", {}), "use flow.method naflow or gradcam"),
    "difference of attentions": (
        ("vit_tiny_patch16_224", {**SMALL, "num_heads": 2, "attn_layer": "diff"}),
        "subtracts two attentions",
    ),
    "parallel attentions": (
        ("vit_small_patch16_18x2_224", {"depth": 1, "embed_dim": 24, "num_heads": 2}),
        "no single attention",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_seen_exactly_is_refused_with_a_way_out(kind):
    (name, options), sentence = REFUSED[kind]
    with pytest.raises(UnsupportedModel, match=sentence) as caught:
        anatomy(timm.create_model(name, **options))
    assert str(caught.value).startswith(name)


def test_gradient_checkpointing_is_refused():
    model = build()
    model.set_grad_checkpointing()
    with pytest.raises(UnsupportedModel, match=r"set_grad_checkpointing\(False\)"):
        anatomy(model)

import math

import pytest
import torch

from pipeline.errors import UnsupportedModel
from pipeline.flows import create_flow
from pipeline.measures.heads import HEAD_STATISTICS
from tests.flows import reference
from tests.flows.reference import photographs_like, small

METHODS = {
    "daam": {},
    "attention": {},
    "rollout": {},
    "relevance": {},
    "projection": {},
    "activation": {},
    "gradcam": {},
    "input_gradient": {},
    "occlusion": {"grid": (1, 2)},
}
MODELS = {
    "class token": lambda: small(),
    "registers": lambda: small(reg_tokens=2),
    "average": lambda: small(global_pool="avg", class_token=False),
    "distilled": lambda: small("deit_tiny_distilled_patch16_224"),
    "attention pool": lambda: small("vit_base_patch16_siglip_224", class_token=False),
    "class attention": lambda: small("cait_xxs24_224", num_heads=3),
}


def by_definition(model, image):
    """Statistics (L, H, S) of one image, from whole matrices in float64, query by query."""
    seeing = reference.see(model, image)
    norms = seeing.token_norm
    limit = (
        norms.median()
        if len(norms) % 2
        else norms.sort().values[[-1 + len(norms) // 2, len(norms) // 2]].mean()
    )
    spread = (norms - limit).abs()
    mad = (
        spread.median()
        if len(norms) % 2
        else spread.sort().values[[-1 + len(norms) // 2, len(norms) // 2]].mean()
    )
    sink = norms > limit + 6 * 1.4826 * mad
    height, width = image.shape[1:]
    columns = width // 8
    layers = []
    for seen in seeing.layers:
        heads = []
        for matrix in seen.matrix:
            heads.append(_of_head(matrix, seen, sink, columns, math.hypot(height, width)))
        layers.append(torch.tensor(heads, dtype=torch.float64))
    return torch.stack(layers)


def _of_head(matrix, seen, sink, columns, diagonal):
    queries, keys = matrix.shape
    square = queries == keys
    found = dict.fromkeys(HEAD_STATISTICS, math.nan)
    groups = {"": range(seen.prefix, queries) if square else ()}
    groups["token_"] = [row for row in seen.rows if not square or row < seen.prefix]
    for stem, rows in groups.items():
        if not len(rows):
            continue
        entropies, prefixes, sunk, selves, way, stay = [], [], [], [], 0.0, 0.0
        for row in rows:
            paid = matrix[row].tolist()
            entropies.append(-sum(a * math.log(a) for a in paid if a > 0) / math.log(keys))
            prefixes.append(sum(paid[: seen.prefix]))
            sunk.append(sum(a for a, deep in zip(paid[seen.prefix :], sink, strict=True) if deep))
            selves.append(paid[row])
            if not stem:
                y, x = divmod(row - seen.prefix, columns)
                for key, a in enumerate(paid[seen.prefix :]):
                    down, across = divmod(key, columns)
                    way += a * 8 * math.hypot(down - y, across - x) / diagonal
                    stay += a
        count = len(rows)
        found[f"{stem}entropy"] = sum(entropies) / count
        found[f"{stem}prefix"] = sum(prefixes) / count
        found[f"{stem}sinks"] = sum(sunk) / count
        if seen.name != "attn_pool":
            found[f"{stem}self"] = sum(selves) / count
        if not stem:
            found["distance"] = way / stay
    return list(found.values())


@pytest.mark.parametrize("kind", MODELS)
def test_equal_a_plain_definition_query_by_query(kind):
    model = MODELS[kind]()
    images = photographs_like(model, 3)
    with create_flow("attention", model, heads=True) as flow:
        found = flow(images).extras["heads"]
    wanted = torch.stack([by_definition(model, image) for image in images])
    assert found.shape == wanted.shape
    assert torch.equal(found.isnan(), wanted.isnan())
    assert torch.allclose(found.double(), wanted, rtol=0, atol=1e-6, equal_nan=True)
    defined = found[~found.isnan()]
    assert defined.min() >= 0
    assert defined.max() <= 1
    assert len(defined)


@pytest.mark.parametrize("method", METHODS)
def test_are_the_same_beside_every_method_and_change_nothing_of_it(method):
    model = small()
    images = photographs_like(model, 2)
    with create_flow("attention", model, heads=True) as flow:
        wanted = flow(images).extras["heads"]
    with create_flow(method, model, **METHODS[method]) as flow:
        plain = flow(images)
    with create_flow(method, model, heads=True, **METHODS[method]) as flow:
        beside = flow(images)
        again = flow(images[:1])
    assert torch.allclose(beside.extras["heads"], wanted, rtol=0, atol=1e-6, equal_nan=True)
    assert torch.equal(beside.maps, plain.maps)
    assert torch.allclose(again.extras["heads"], wanted[:1], rtol=0, atol=1e-6, equal_nan=True)


def test_an_outstanding_patch_is_a_sink_of_all_layers():
    model = small(img_size=(40, 40))
    images = photographs_like(model, 2)
    images[1, :, 8:16, 16:24] *= 60  # one patch
    with torch.no_grad():
        for block in model.blocks:  # so that its norm outlasts the blocks
            block.attn.proj.weight.mul_(0.02)
            block.mlp.fc2.weight.mul_(0.02)
    with create_flow("attention", model, heads=True) as flow:
        result = flow(images)
    sinks = result.extras["heads"][..., list(HEAD_STATISTICS).index("sinks")]
    assert (sinks[1] > 0).all()
    wanted = torch.stack([by_definition(model, image) for image in images])
    assert torch.allclose(
        result.extras["heads"].double(), wanted, rtol=0, atol=1e-5, equal_nan=True
    )


def test_do_not_depend_on_batch_mates_or_slabs(monkeypatch):
    model = small()
    images = photographs_like(model, 8)
    spoiled = images.clone()
    spoiled[1] = float("nan")
    with create_flow("daam", model, heads=True) as flow:
        together = flow(images).extras["heads"]
        beside_nan = flow(spoiled).extras["heads"]
        monkeypatch.setattr("pipeline.flows.recording.SLAB", 64)
        small_slabs = flow(images).extras["heads"]
    others = [0, *range(2, 8)]
    assert torch.allclose(beside_nan[others], together[others], rtol=0, atol=1e-6, equal_nan=True)
    assert torch.allclose(small_slabs, together, rtol=0, atol=1e-6, equal_nan=True)


def test_a_model_without_heads_over_all_patches_is_refused_with_the_reason():
    import timm

    for name in ("resnet18", "swin_tiny_patch4_window7_224"):
        model = timm.create_model(name, num_classes=5).eval()
        with pytest.raises(UnsupportedModel, match=r"flow\.heads: .*no attention leads"):
            create_flow("input_gradient", model, heads=True)

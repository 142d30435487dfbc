import math

import pytest
import timm
import torch
from torch import nn

from pipeline.errors import UnsupportedModel
from pipeline.flows import create_flow
from pipeline.models.loading.sata import sata

SMALL = {"img_size": (48, 64), "patch_size": 8, "embed_dim": 24, "depth": 4, "num_heads": 3}
CASES = {
    "plain": ("vit_tiny_patch16_224", {}),
    "registers and layer scale": ("vit_tiny_patch16_224", {"reg_tokens": 3, "init_values": 0.5}),
    "average": ("vit_tiny_patch16_224", {"global_pool": "avg", "class_token": False}),
    "distilled": ("deit_tiny_distilled_patch16_224", {}),
    "rotary": ("eva02_tiny_patch14_224", {"global_pool": "token", "init_values": 0.5}),
    "relative": ("beit_base_patch16_224", {"global_pool": "token"}),
}


def build(case: str = "plain", **changes: object) -> nn.Module:
    name, options = CASES[case]
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=5, **{**SMALL, **options, **changes}).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.15)
    return model


def pictures(count: int = 6, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn(count, 3, 6, 8, generator=generator, dtype=dtype)
    return nn.functional.interpolate(coarse, (48, 64), mode="bilinear")


class Reference:
    """SATA of one image at a time, by loops over tokens, from the definition."""

    def __init__(self, model: nn.Module, gamma: float, alpha: float) -> None:
        self.model, self.alpha = model, alpha
        self.first = len(model.blocks) - math.ceil(round((1 - gamma) * len(model.blocks), 6))
        self.merged: list[int] = []

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        model = self.model
        x = model._pos_embed(model.patch_embed(image[None]))
        x = model.norm_pre(x)
        for index, block in enumerate(model.blocks):
            x = self.block(block, x) if index >= self.first else block(x)
        return model.forward_head(model.norm(x))[0]

    def block(self, block: nn.Module, x: torch.Tensor) -> torch.Tensor:
        attention, prefix = block.attn, self.model.num_prefix_tokens
        normed = block.norm1(x)
        tokens = x.shape[1]
        qkv = attention.qkv(normed).reshape(tokens, 3, attention.num_heads, -1)
        matrix = torch.zeros(tokens, tokens, dtype=x.dtype)
        for head in range(attention.num_heads):
            q, k = qkv[:, 0, head], qkv[:, 1, head]
            matrix += (q @ k.T * attention.scale).softmax(1) / attention.num_heads
        x = (x + block.ls1(attention(normed)))[0]
        patches, matrix = x[prefix:], matrix[prefix:, prefix:]
        size = len(patches)
        a = torch.stack([token.mean() for token in patches])
        z = (a - a.mean()) / a.std()
        moran = torch.stack(
            [z[i] * sum(z[j] * matrix[j, i] for j in range(size)) for i in range(size)]
        )
        s = (moran - moran.mean()) / moran.std()
        middle = sorted(s.tolist())[(size - 1) // 2]
        kept = [i for i in range(size) if abs(s[i]) <= self.alpha * abs(middle)]  # mean(s) = 0
        rest = sorted((i for i in range(size) if i not in kept), key=lambda i: (float(s[i]), i))
        if len(rest) == 1:
            kept, rest = kept + rest, []
        sources, targets = rest[::2], rest[1::2]
        self.merged.append(len(sources))
        groups: dict[int, list[int]] = {i: [i] for i in targets}
        for i in sources:
            cosine = [
                float(nn.functional.cosine_similarity(patches[i], patches[j], 0)) for j in targets
            ]
            groups[targets[cosine.index(max(cosine))]].append(i)
        out = x.clone()
        for i in [*range(prefix), *(prefix + i for i in kept)]:
            out[i] = x[i] + block.ls2(block.mlp(block.norm2(x[i][None, None])))[0, 0]
        for i, members in groups.items():
            mean = torch.stack([patches[j] for j in members]).mean(0)
            out[prefix + i] = mean + block.ls2(block.mlp(block.norm2(mean[None, None])))[0, 0]
        return out[None]


@pytest.mark.parametrize("case", ["plain", "registers and layer scale", "average"])
@pytest.mark.parametrize(("gamma", "alpha"), [(0.7, 1.0), (0.5, 0.3), (0.0, 2.0)])
@torch.no_grad()
def test_as_defined(case: str, gamma: float, alpha: float) -> None:
    model, images = build(case).double(), pictures(3, torch.float64)
    reference = Reference(model, gamma, alpha)
    expected = torch.stack([reference(image) for image in images])
    torch.testing.assert_close(sata(model, gamma, alpha)(images), expected)
    assert sum(reference.merged) > 10


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_with_everything_kept_the_model_is_unchanged(case: str) -> None:
    model, images = build(case), pictures()
    changed = sata(model, gamma=0, alpha=math.inf)
    torch.testing.assert_close(changed(images), model(images), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sata(model, gamma=1)(images), model(images), rtol=0, atol=0)
    assert not torch.allclose(sata(model)(images), model(images), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_an_image_does_not_depend_on_its_batch_mates(case: str) -> None:
    model = sata(build(case), gamma=0.4).double()
    images = pictures(32, torch.float64)
    order = torch.randperm(32)
    together = model(images)
    torch.testing.assert_close(model(images[order]), together[order])
    torch.testing.assert_close(torch.cat([model(image[None]) for image in images]), together)


@torch.no_grad()
def test_tokens_stay_in_place() -> None:
    model, images = build(), pictures()
    changed = sata(model, gamma=0.75)
    before, after = [], []
    model.blocks[2].register_forward_hook(lambda m, i, output: before.append(output))
    model.forward_features(images)
    changed.blocks[3].register_forward_hook(lambda m, i, output: after.append(output))
    changed.forward_features(images)
    block = model.blocks[3]
    attended = before[0] + block.attn(block.norm1(before[0]))
    processed = attended + block.mlp(block.norm2(attended))
    untouched = (after[0] - attended).abs().amax(2) < 1e-5  # merged away: no MLP
    same = (after[0] - processed).abs().amax(2) < 1e-4  # prefix and kept
    assert same[:, 0].all()
    assert 0.2 < same[:, 1:].float().mean() < 0.95
    assert untouched[:, 1:].any(1).all()
    assert not (untouched & same).any()


@pytest.mark.parametrize("method", ["daam", "relevance", "rollout"])
def test_methods_see_the_attention_of_the_changed_model(method: str) -> None:
    model, images = build(), pictures(3)
    everything = sata(model, gamma=0, alpha=math.inf)
    targets = torch.tensor([0, 1, 2])
    maps = {}
    for name, variant in {"plain": model, "all": everything, "sata": sata(model, 0.4)}.items():
        with create_flow(method, variant) as flow:
            maps[name] = flow(images, targets).maps
    torch.testing.assert_close(maps["all"], maps["plain"], rtol=1e-3, atol=1e-5)
    difference = (maps["sata"] - maps["plain"])[:, -1].abs().max()
    assert difference > 1e-3 * maps["plain"][:, -1].max()
    assert maps["sata"].isfinite().all()


def test_daam_of_the_changed_model_is_that_of_its_definition() -> None:
    model, images = sata(build(), gamma=0.5).double(), pictures(1, torch.float64)
    with create_flow("daam", model) as flow:
        found = flow(images)
    seen: dict[str, torch.Tensor] = {}

    def keep(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        seen["qkv"] = output

    def start(module: nn.Module, inputs: tuple) -> tuple:
        seen["read"] = inputs[0].detach().requires_grad_()
        return (seen["read"],)

    for layer in (2, 3):
        attention = model.blocks[layer].attn
        hooks = [
            attention.qkv.register_forward_hook(keep),
            attention.proj.register_forward_pre_hook(start),
        ]
        logit = model(images)[0, found.target[0]]
        for hook in hooks:
            hook.remove()
        (gradient,) = torch.autograd.grad(logit, seen["read"])
        q, k, v = seen["qkv"].reshape(49, 3, 3, 8).permute(1, 2, 0, 3)
        paid = (q[:, :1] @ k.mT * attention.scale).softmax(2)[:, 0]
        gain = (v * gradient[0, 0].reshape(3, 1, 8).relu()).sum(2)
        expected = (paid * gain).sum(0).relu()[1:].reshape(6, 8)
        torch.testing.assert_close(found.maps[0, layer].double(), expected, rtol=1e-5, atol=1e-9)


def test_the_model_itself_stays_as_it_is() -> None:
    model, images = build(), pictures(2)
    expected = model(images)
    changed = sata(model)
    assert changed.state_dict().keys() == model.state_dict().keys()
    weight = model.blocks[3].mlp.fc1.weight
    assert changed.blocks[3].mlp.fc1.weight is weight
    hook = changed.register_forward_hook(lambda m, i, output: output * 0)
    assert torch.equal(model(images), expected)
    hook.remove()
    assert type(model.blocks[3]) is not type(changed.blocks[3])


@pytest.mark.parametrize("size", [(8, 8), (8, 16), (16, 16)])
@torch.no_grad()
def test_tiny_sets_and_constant_pictures_are_finite(size: tuple[int, int]) -> None:
    model = sata(build("plain", img_size=size), gamma=0)
    assert model(torch.zeros(2, 3, *size)).isfinite().all()
    assert model(torch.randn(2, 3, *size)).isfinite().all()


@torch.no_grad()
def test_constant_tokens_are_all_kept() -> None:
    model = build("plain", pos_embed="none")
    flat = torch.full((2, 3, 48, 64), 0.3)
    torch.testing.assert_close(sata(model, gamma=0)(flat), model(flat), rtol=1e-4, atol=1e-4)


def test_attention_that_was_not_fused_is_seen_too() -> None:
    model, images = build(), pictures(2)
    expected = sata(model)(images)
    for block in model.blocks:
        block.attn.fused_attn = False
    torch.testing.assert_close(sata(model)(images), expected, rtol=1e-4, atol=1e-5)
    assert model.blocks[3].attn.fused_attn is False


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_lower_precision_runs(precision: torch.dtype) -> None:
    model, images = sata(build()), pictures()
    with torch.autocast("cpu", dtype=precision):
        coarse = model(images)
    assert coarse.isfinite().all()


@pytest.mark.parametrize(
    "name", ["resnet10t", "swin_tiny_patch4_window7_224", "cait_xxs24_224", "mixer_s32_224"]
)
def test_other_models_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedModel, match=r"model\.transform: null"):
        sata(timm.create_model(name))


@pytest.mark.parametrize("options", [{"gamma": 1.1}, {"gamma": -0.1}, {"alpha": -1.0}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be in"):
        sata(build(), **options)

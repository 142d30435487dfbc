"""Vision transformers that are not timm's, and their attention from its definition.

Shares nothing with ``pipeline``: every attention of a model is replaced by one that is written out
and keeps its matrix, its values and its output. ``nn.MultiheadAttention`` is replaced as a module,
transformers' by its own registry of attentions. Which rows are read is written beside each model.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tests.flows.reference import Seeing, Seen

SIZE = (48, 48)
CLASSES = 5
NARROW = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
NARROW |= {"intermediate_size": 32, "image_size": SIZE[0], "patch_size": 16}


@dataclass(frozen=True)
class Reading:
    """Which tokens a model reads behind its last attention, by their numbers, and the prefix.

    ``pool``: the last attention has queries of its own, of which it reads the first.
    """

    prefix: int
    rows: tuple[int, ...]
    pool: bool = False


PATCHES = 9
TOKEN, TWO = Reading(1, (0,)), Reading(2, (0, 1))
MEAN = Reading(1, tuple(range(1, 1 + PATCHES)))
ALL = Reading(0, tuple(range(PATCHES)))
WITH_TOKEN = Reading(1, tuple(range(1 + PATCHES)))
WITHOUT_REGISTERS = Reading(5, (0, *range(5, 5 + PATCHES)))


class Plain(nn.Module):
    """Encoder blocks of torch; ``first``: images before tokens."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.first = first
        self.embed = nn.Conv2d(3, 24, 16, stride=16)
        block = nn.TransformerEncoderLayer(24, 3, 32, batch_first=first, norm_first=first)
        norm = nn.LayerNorm(24)
        self.encoder = nn.TransformerEncoder(block, 2, norm, enable_nested_tensor=False)
        self.head = nn.Linear(24, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.embed(images).flatten(2).mT
        if self.first:
            return self.head(self.encoder(tokens).mean(1))
        return self.head(self.encoder(tokens.transpose(0, 1)).mean(0))


def torchvision_vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    return VisionTransformer(SIZE[0], 16, 2, 3, 24, 32, num_classes=CLASSES)


def transformers_model(name: str, **options: Any) -> Callable[[], nn.Module]:
    """``name`` of transformers' image classifier, whose configuration is named alike."""

    def build() -> nn.Module:
        import transformers

        kind = name.partition("For")[0]
        config = getattr(transformers, f"{kind}Config")
        options_ = {**NARROW, "num_labels": CLASSES, **options}
        return getattr(transformers, name)(config(**options_))

    return build


def transformers_dual(name: str) -> Callable[[], nn.Module]:
    """An image classifier whose configuration is that of an image and a text tower."""

    def build() -> nn.Module:
        import transformers

        text = {k: v for k, v in NARROW.items() if k not in ("image_size", "patch_size")}
        text |= {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
        config = getattr(transformers, f"{name}Config")(vision_config=NARROW, text_config=text)
        config.num_labels = CLASSES
        return getattr(transformers, f"{name}ForImageClassification")(config)

    return build


class PoolerOutput(nn.Module):
    """A tower of transformers that is asked for its pooled embedding."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, images: Tensor) -> Tensor:
        return self.tower(images).pooler_output


def siglip_pool() -> nn.Module:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    return PoolerOutput(SiglipVisionModel(SiglipVisionConfig(**NARROW)))


def open_clip_tower(**options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from open_clip.transformer import VisionTransformer

        return VisionTransformer(SIZE[0], 16, 24, 2, 3, 2.0, output_dim=6, **options)

    return build


def open_clip_timm() -> nn.Module:
    from open_clip.timm_model import TimmModel

    return TimmModel("test_vit", 6, image_size=SIZE[0], pool="", proj="linear")


@dataclass(frozen=True)
class Tower:
    """A model and what it reads; ``library`` is what it needs to be installed."""

    build: Callable[[], nn.Module]
    reading: Reading
    library: str = "torch"


HF, OC = "transformers", "open_clip"
TOWERS: dict[str, Tower] = {
    "nn.TransformerEncoder": Tower(lambda: Plain(True), ALL),
    "nn.TransformerEncoder, tokens first": Tower(lambda: Plain(False), ALL),
    "torchvision: ViT": Tower(torchvision_vit, TOKEN),
    "transformers: ViT": Tower(transformers_model("ViTForImageClassification"), TOKEN, HF),
    "transformers: DeiT, distilled": Tower(
        transformers_model("DeiTForImageClassificationWithTeacher"), TWO, HF
    ),
    "transformers: BEiT": Tower(
        transformers_model("BeitForImageClassification", use_relative_position_bias=True), MEAN, HF
    ),
    "transformers: DINOv2": Tower(
        transformers_model("Dinov2ForImageClassification", mlp_ratio=2), WITH_TOKEN, HF
    ),
    "transformers: DINOv2, registers": Tower(
        transformers_model("Dinov2WithRegistersForImageClassification", mlp_ratio=2),
        WITHOUT_REGISTERS,
        HF,
    ),
    "transformers: I-JEPA": Tower(transformers_model("IJepaForImageClassification"), ALL, HF),
    "transformers: CLIP": Tower(transformers_dual("CLIP"), MEAN, HF),
    "transformers: SigLIP": Tower(transformers_dual("Siglip"), ALL, HF),
    "transformers: SigLIP, attention pool": Tower(siglip_pool, Reading(0, ALL.rows, True), HF),
    "open_clip: ViT": Tower(open_clip_tower(), TOKEN, OC),
    "open_clip: ViT, average pool": Tower(open_clip_tower(pool_type="avg"), MEAN, OC),
    "open_clip: CoCa (attention pool)": Tower(
        open_clip_tower(attentional_pool=True, attn_pooler_queries=4, attn_pooler_heads=3),
        Reading(1, WITH_TOKEN.rows, True),
        OC,
    ),
}


def build(name: str) -> nn.Module:
    """A tower whose weights are large enough for every map to be far from zero."""
    torch.manual_seed(0)
    model = TOWERS[name].build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.25)
            else:
                parameter.add_(torch.randn(parameter.shape) * 0.1)
    model.reading = TOWERS[name].reading
    return model


def logits_in(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output.logits


def see(model: nn.Module, image: Tensor, target: int | None = None) -> Seeing:
    """Run one image (3, H, W) and back-propagate a logit."""
    reading: Reading = model.reading
    model = copy.deepcopy(model).double().requires_grad_(True)
    kept: list[dict[str, Tensor]] = []
    for module in model.modules():
        if isinstance(module, nn.MultiheadAttention):
            module.forward = _explicit(module, kept)
    if hasattr(model, "config") or hasattr(getattr(model, "tower", None), "config"):
        _register(getattr(model, "tower", model), kept)
    image = image[None].double().requires_grad_()
    result = logits_in(model(image))[0]
    target = int(result.argmax()) if target is None else target
    result[target].backward()
    layers = [
        Seen(str(number), **parts, rows=list(reading.rows), prefix=reading.prefix)
        for number, parts in enumerate(kept)
        if parts["output"].grad is not None
    ]
    if reading.pool:
        layers[-1].rows = [0]
    return Seeing(layers, result.detach(), target, torch.zeros(()))


def _attend(
    query: Tensor, key: Tensor, value: Tensor, scores: Tensor | float, kept: list[dict[str, Tensor]]
) -> Tensor:
    """Attention (1, Q, H·d) of one image's heads (H, N, d), one head at a time."""
    scores = scores + torch.zeros(len(query), query.shape[1], key.shape[1], dtype=query.dtype)
    matrices, outputs = [], []
    for head in range(len(query)):
        exponents = query[head] @ key[head].T * query.shape[-1] ** -0.5 + scores[head]
        weights = exponents.exp() / exponents.exp().sum(-1, keepdim=True)
        matrices.append(weights)
        outputs.append(weights @ value[head])
    output = torch.cat(outputs, dim=-1)[None]
    output.retain_grad()
    parts = {"matrix": torch.stack(matrices).detach(), "value": value.detach(), "output": output}
    kept.append(parts)
    return output


def _explicit(module: nn.MultiheadAttention, kept: list) -> Callable[..., Any]:
    """``nn.MultiheadAttention``, written out for one image."""

    def forward(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> tuple[Tensor, None]:
        assert options.get("attn_mask") is None
        inputs = [x[0] if module.batch_first else x[:, 0] for x in (query, key, value)]
        if module.in_proj_weight is not None:
            weights: Sequence[Tensor] = module.in_proj_weight.chunk(3)
        else:
            weights = [module.q_proj_weight, module.k_proj_weight, module.v_proj_weight]
        biases = module.in_proj_bias.chunk(3)
        parts = []
        for x, weight, bias in zip(inputs, weights, biases, strict=True):
            heads = (x @ weight.T + bias).view(len(x), module.num_heads, -1)
            parts.append(heads.transpose(0, 1))
        output = module.out_proj(_attend(*parts, 0.0, kept))
        return output if module.batch_first else output.transpose(0, 1), None

    return forward


def _register(model: nn.Module, kept: list) -> None:
    """Give a model of transformers the attention that is written out."""
    from transformers import AttentionInterface

    def written_out(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        scaling: float | None = None,
        position_bias: Tensor | None = None,
        **options: Any,
    ) -> tuple[Tensor, None]:
        assert scaling is None or abs(scaling - query.shape[-1] ** -0.5) < 1e-12
        assert position_bias is None or attention_mask is None
        bias = position_bias if attention_mask is None else attention_mask
        bias = 0.0 if bias is None else bias[0]
        output = _attend(query[0], key[0], value[0], bias, kept)
        return output.view(1, output.shape[1], len(query[0]), -1), None

    AttentionInterface.register("written_out", written_out)
    model.set_attn_implementation("written_out")

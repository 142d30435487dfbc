"""Transformer methods from their definitions: one image, float64, full attention matrices.

Shares nothing with ``pipeline.flows``: attention runs unfused and its matrices are taken where
the model's own code applies them, values are computed again from each attention's weights, which
rows are read follows from the configuration of the model, and gradients are of everything.
"""

import copy
from dataclasses import dataclass

import timm
import torch
from timm.layers import AttentionPoolLatent
from torch import Tensor, nn


def small(name: str = "vit_tiny_patch16_224", seed: int = 0, **options) -> nn.Module:
    """A small transformer whose weights are large enough for every map to be far from zero."""
    options = {
        "img_size": (24, 40),
        "patch_size": 8,
        "embed_dim": 24,
        "depth": 3,
        "num_heads": 3,
        "num_classes": 5,
        **options,
    }
    torch.manual_seed(seed)
    model = timm.create_model(name, **options).eval()
    with torch.no_grad():
        for name_, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.15)
            elif name_.endswith(("bias", "gamma", "gamma_1", "gamma_2")):
                parameter.normal_(std=0.3)
    return model


def photographs_like(model: nn.Module, count: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    size = getattr(model.patch_embed, "img_size", None) or model.pretrained_cfg["input_size"][1:]
    return torch.randn(count, 3, *size, generator=generator)


@dataclass
class Seen:
    """One layer: attention A (H, Q, N), values (H, N, d), output T (Q, H·d) and its gradient."""

    name: str
    matrix: Tensor
    value: Tensor
    output: Tensor
    rows: list[int]
    prefix: int

    def heads(self, tensor: Tensor) -> Tensor:
        return tensor.unflatten(-1, (len(self.value), -1)).transpose(0, 1)

    @property
    def gradient(self) -> Tensor:
        """(H, Q, d)."""
        return self.heads(self.output.grad[0])


@dataclass
class Seeing:
    layers: list[Seen]
    result: Tensor  # logits or embedding
    target: int | None
    token_norm: Tensor  # (n,)


def see(
    model: nn.Module,
    image: Tensor,
    target: int | None = None,
    weights: Tensor | None = None,
) -> Seeing:
    """Run one image (3, H, W) and back-propagate a logit, or ``weights`` from the embedding."""
    model = copy.deepcopy(model).double().requires_grad_(True)
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    prefix = model.num_prefix_tokens
    layers, kept = [], {}
    for name, block in _blocks(model):
        attention = getattr(block, "attn", block)
        kept[name] = {}
        _watch(attention, kept[name])
    last: list[Tensor] = []
    model.blocks[-1].register_forward_hook(lambda m, i, o: last.append(o.detach()))
    image = image[None].double().requires_grad_()
    if weights is None and model.num_classes:
        result = model(image)[0]
        target = int(result.argmax()) if target is None else target
        result[target].backward()
    else:
        result = model.forward_head(model.forward_features(image), pre_logits=True)[0]
        (result * (1 if weights is None else weights.double())).sum().backward()
    for name, parts in kept.items():
        rows, before = _read(model, name, parts["matrix"].shape[1], prefix)
        layers.append(Seen(name, parts["matrix"], parts["value"], parts["output"], rows, before))
    tokens = last[-1][0]
    if hasattr(model, "blocks_token_only") or hasattr(model, "cls_attn_blocks"):
        prefix = 0
    return Seeing(layers, result.detach(), target, tokens[prefix:].norm(dim=-1))


def _blocks(model: nn.Module):
    for attribute in ("blocks_token_only", "cls_attn_blocks"):
        if hasattr(model, attribute):
            return [(f"{attribute}.{i}", b) for i, b in enumerate(getattr(model, attribute))]
    blocks = [(f"blocks.{index}", block) for index, block in enumerate(model.blocks)]
    pool = getattr(model, "attn_pool", None)
    return blocks if pool is None else [*blocks, ("attn_pool", pool)]


def _read(model: nn.Module, name: str, queries: int, prefix: int) -> tuple[list[int], int]:
    """Rows of a layer that are read, and how many of its keys are no patches."""
    pool = getattr(model, "attn_pool", None)
    everything = getattr(model, "pool_include_prefix", type(model).__name__ == "Eva")
    if name == "attn_pool":
        return [0], prefix if everything else 0
    if pool is not None:
        return list(range(0 if everything else prefix, queries)), prefix
    if hasattr(model, "head_dist"):
        return [0, 1], prefix
    if model.global_pool == "token":
        return [0], prefix
    return list(range(prefix, queries)), prefix


def _watch(attention: nn.Module, kept: dict) -> None:
    def enter(module, args):
        tokens = args[0]
        kept["value"] = _values(module, tokens[0]).detach()
        if isinstance(module, AttentionPoolLatent):
            heads, width = module.num_heads, module.head_dim
            query = module.q_norm(module.q(module.latent[0]).view(-1, heads, width).transpose(0, 1))
            key = module.kv(tokens[0]).view(-1, 2, heads, width)[:, 0].transpose(0, 1)
            scores = query @ module.k_norm(key).transpose(-2, -1) * width**-0.5
            kept["matrix"] = scores.softmax(dim=-1).detach()

    def output(module, args):
        args[0].retain_grad()
        kept["output"] = args[0]

    attention.register_forward_pre_hook(enter)
    if not isinstance(attention, AttentionPoolLatent):
        attention.attn_drop.register_forward_pre_hook(
            lambda module, args: kept.update(matrix=args[0][0].detach())
        )
    # Where a norm or a gate may follow, the attention's output is what enters the norm.
    inner = hasattr(attention, "norm") and not isinstance(attention, AttentionPoolLatent)
    (attention.norm if inner else attention.proj).register_forward_pre_hook(output)


def _values(attention: nn.Module, x: Tensor) -> Tensor:
    """Values (H, N, d) from the attention's own weights."""
    if getattr(attention, "qkv", None) is not None:
        weight = attention.qkv.weight.chunk(3)[2]
        bias = attention.qkv.bias
        bias = getattr(attention, "v_bias", None) if bias is None else bias.chunk(3)[2]
    elif hasattr(attention, "kv"):
        weight, bias = attention.kv.weight.chunk(2)[1], attention.kv.bias.chunk(2)[1]
    else:
        linear = getattr(attention, "v_proj", None) or attention.v
        weight, bias = linear.weight, linear.bias
    packed = x @ weight.T + (0 if bias is None else bias)
    return packed.view(len(x), attention.num_heads, -1).transpose(0, 1)


def daam(seeing: Seeing, relu: bool = True) -> Tensor:
    """(L, n): per head and row, loops instead of products."""
    maps = []
    for seen in seeing.layers:
        total = torch.zeros(seen.matrix.shape[-1], dtype=torch.float64)
        gradient = seen.gradient.clamp(min=0) if relu else seen.gradient
        for row in seen.rows:
            for head in range(len(seen.value)):
                total += seen.matrix[head, row] * (seen.value[head] @ gradient[head, row])
        maps.append(total.clamp(min=0)[seen.prefix :])
    return torch.stack(maps)


def attention(seeing: Seeing) -> Tensor:
    return torch.stack(
        [seen.matrix.mean(dim=0)[seen.rows].mean(dim=0)[seen.prefix :] for seen in seeing.layers]
    )


def rollout(seeing: Seeing) -> Tensor:
    maps, product = [], torch.eye(seeing.layers[0].matrix.shape[-1], dtype=torch.float64)
    for seen in seeing.layers:
        mixed = seen.matrix.mean(dim=0) + torch.eye(len(product), dtype=torch.float64)
        product = (mixed / mixed.sum(dim=-1, keepdim=True)) @ product
        maps.append(product[seen.rows].mean(dim=0)[seen.prefix :])
    return torch.stack(maps)


def relevance(seeing: Seeing) -> Tensor:
    maps, total = [], torch.eye(seeing.layers[0].matrix.shape[-1], dtype=torch.float64)
    for seen in seeing.layers:
        slope = torch.einsum("hrd,hjd->hrj", seen.gradient, seen.value)
        added = (slope * seen.matrix).clamp(min=0).mean(dim=0) @ total
        total = total + added
        maps.append(added[seen.rows].mean(dim=0)[seen.prefix :])
    return torch.stack(maps)


def channel_weights(
    feature: Tensor,
    bank: Tensor,
    labels: Tensor,
    target: int | None = None,
    k: int = 20,
    temperature: float = 0.07,
) -> tuple[Tensor, Tensor]:
    """Weights (C,) of the embedding and votes per label, one image, from a sorted list."""
    feature, bank = feature.double(), bank.double()
    unit = feature / feature.norm()
    cosines = [float(row @ unit / row.norm()) for row in bank]
    nearest = sorted(range(len(bank)), key=lambda index: (-cosines[index], index))[:k]
    votes = torch.zeros(int(labels.max()) + 1, dtype=torch.float64)
    for index in nearest:
        votes[labels[index]] += torch.tensor(cosines[index] / temperature).double().exp()
    target = int(votes.argmax()) if target is None else target
    kept = [bank[index] / bank[index].norm() for index in nearest if labels[index] == target]
    if not kept:
        kept = [
            row / row.norm() for row, label in zip(bank, labels, strict=True) if label == target
        ]
    product = unit * torch.stack(kept).mean(dim=0)
    low, high = product.min(), product.max()
    return (product - low) / (high - low), votes

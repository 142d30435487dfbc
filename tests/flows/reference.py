"""DAAM from its definition: one image, full attention matrices, backward on the raw logit.

Shares nothing with ``pipeline.flows``: queries, keys and values are computed again from each
attention's own weights, and the gradient is read at the input of the output projection.
"""

from dataclasses import dataclass

import timm
import torch
from timm.layers import apply_rot_embed_cat
from timm.models.beit import Attention as BeitAttention
from timm.models.eva import EvaAttention
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
            elif name_.endswith(("bias", "gamma")):
                parameter.normal_(std=0.3)
    return model


def photographs_like(model: nn.Module, count: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, *model.patch_embed.img_size, generator=generator)


@dataclass
class Reference:
    maps: Tensor  # (L, n)
    logits: Tensor  # (C,)
    sums: list[Tensor]  # per block: Σ_j a v at the class token, (C,)
    outputs: list[Tensor]  # per block: T at the class token, (C,)
    prefix_mass: Tensor  # (L,)
    token_norm: Tensor  # (n,)


def reference(
    model: nn.Module, image: Tensor, target: int | None = None, readout: tuple[int, ...] = (0,)
) -> Reference:
    """Explain one image (3, H, W)."""
    attentions = [block.attn for block in model.blocks]
    inputs: dict[int, Tensor] = {}
    outputs: dict[int, Tensor] = {}
    handles = []

    def keep_input(index):
        def hook(module, args, kwargs):
            inputs[index] = args[0]
            kwargs_of[index] = kwargs

        return hook

    def keep_output(index):
        def hook(module, args):
            args[0].retain_grad()
            outputs[index] = args[0]

        return hook

    kwargs_of: dict[int, dict] = {}
    last: list[Tensor] = []
    for index, attention in enumerate(attentions):
        handles.append(attention.register_forward_pre_hook(keep_input(index), with_kwargs=True))
        handles.append(attention.proj.register_forward_pre_hook(keep_output(index)))
    handles.append(model.blocks[-1].register_forward_hook(lambda m, i, o: last.append(o)))
    logits = model(image[None].clone().requires_grad_())[0]
    for handle in handles:
        handle.remove()
    logits[logits.argmax() if target is None else target].backward()
    model.zero_grad()

    prefix = model.num_prefix_tokens
    maps, sums, prefix_mass = [], [], []
    with torch.no_grad():
        for index, attention in enumerate(attentions):
            query, key, value, bias = _parts(attention, inputs[index][0], kwargs_of[index])
            heads, tokens, width = value.shape
            matrix = torch.einsum("hnd,hmd->hnm", query, key) / query.shape[-1] ** 0.5
            matrix = (matrix + bias).softmax(dim=-1)
            gate = getattr(attention, "gate", None)
            gates = torch.ones(tokens, heads, width)
            if gate is not None:
                gates = gate(inputs[index][0]).sigmoid().view(tokens, heads, width)
            gradient = outputs[index].grad[0].view(tokens, heads, width).clamp(min=0)
            total = torch.zeros(tokens)
            for row in readout:
                weighted = value * gates[row][:, None, :]
                for head in range(heads):
                    total += matrix[head, row] * (weighted[head] @ gradient[row, head])
            maps.append(total.clamp(min=0)[prefix:])
            sums.append((torch.einsum("hm,hmd->hd", matrix[:, 0], value) * gates[0]).flatten())
            prefix_mass.append(matrix[:, 0, :prefix].sum(dim=-1).mean())
    return Reference(
        torch.stack(maps),
        logits.detach(),
        sums,
        [outputs[index][0, 0].detach() for index in range(len(attentions))],
        torch.stack(prefix_mass),
        last[0][0, prefix:].detach().norm(dim=-1),
    )


def _parts(attention, x: Tensor, kwargs: dict) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys, values (H, N, d) and the bias of the scores, from the module's weights."""
    weight, bias = attention.qkv.weight, attention.qkv.bias
    if isinstance(attention, BeitAttention | EvaAttention) and attention.q_bias is not None:
        bias = torch.cat([attention.q_bias, attention.k_bias, attention.v_bias])
    packed = x @ weight.T + (0 if bias is None else bias)
    heads = attention.num_heads
    query, key, value = (
        part.view(len(x), heads, -1).transpose(0, 1) for part in packed.chunk(3, dim=-1)
    )
    if hasattr(attention, "q_norm"):
        query, key = attention.q_norm(query), attention.k_norm(key)
    if kwargs.get("rope") is not None:
        first = attention.num_prefix_tokens
        query, key = (
            torch.cat([part[:, :first], apply_rot_embed_cat(part[:, first:], kwargs["rope"])], 1)
            for part in (query, key)
        )
    scores_bias = torch.zeros(())
    if getattr(attention, "relative_position_bias_table", None) is not None:
        scores_bias = attention._get_rel_pos_bias()[0]
    if getattr(attention, "rel_pos", None) is not None:
        scores_bias = attention.rel_pos.get_bias()[0]
    return query, key, value, scores_bias

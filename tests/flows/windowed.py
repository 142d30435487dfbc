"""DAAM within windows from its definition: one image, float64, unfused, by derivatives.

With A constant, T is linear in the values, so value element i adds v_i · ∂⟨T, ReLU(g)⟩/∂v_i to
⟨T, ReLU(g)⟩, whatever windows, heads and reshapes are between both. Where a value lies on the image
is found by how each family's own code moves tokens: nothing of ``pipeline`` is used.
"""

import copy
from collections.abc import Callable

import torch
from timm.models import coat, hiera, mvitv2, pit, swin_transformer, twins
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Hiera = hiera.Hiera


class _Constant(TorchFunctionMode):
    """Every softmax is a constant."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        return output.detach() if getattr(func, "__name__", "") == "softmax" else output


def attentions(model: nn.Module) -> list[nn.Module]:
    """The attention modules in the order in which they run."""
    return [module for module in model.modules() if _values_of(module) is not None]


def _values_of(module: nn.Module) -> nn.Module | None:
    """The module that puts out the values that are attended to, or None for other modules."""
    if not hasattr(module, "proj") or not isinstance(_heads(module), int):
        return None
    if isinstance(module, mvitv2.MultiScaleAttention):
        return module.norm_v if module.norm_v is not None else module.qkv
    return getattr(module, "qkv", None) or getattr(module, "kv", None)


def _heads(module: nn.Module) -> int | None:
    return getattr(module, "num_heads", getattr(module, "heads", None))


def has_windows(model: nn.Module) -> bool:
    """Whether a model is of one of these families."""
    return type(model).__name__ in _ROWS or _is_parallel(model)


def _is_parallel(model: nn.Module) -> bool:
    """Whether the blocks of a class-token transformer have several attentions side by side."""
    return hasattr(model, "blocks") and hasattr(model.blocks[0], "attns")


_ROWS = {
    "SwinTransformer": slice(None),
    "Hiera": slice(None),
    "PoolingVisionTransformer": slice(0, 1),
    "Twins": slice(None),
    "Levit": slice(None),
    "LevitDistilled": slice(None),
    "MultiScaleVit": slice(None),
    "NaFlexVit": slice(4, None),
}
"""Which tokens a family reads, by its class."""


def stages(model: nn.Module) -> list[nn.Module] | None:
    """The modules that end the stages of a family whose ``feature_info`` names none."""
    if isinstance(model, twins.Twins):
        pairs = zip(model.blocks, model.pos_block, strict=True)  # positions follow block 0
        return [blocks[-1] if len(blocks) > 1 else place for blocks, place in pairs]
    if isinstance(model, coat.CoaT):  # without parallel blocks
        return [getattr(model, f"serial_blocks{stage}")[-1] for stage in range(1, 5)]
    return list(model.stages) if isinstance(model, mvitv2.MultiScaleVit) else None


def daam(model: nn.Module, image: Tensor) -> list[Tensor]:
    """Maps (n,) of every attention for the predicted class."""
    rows = _ROWS.get(type(model).__name__, slice(0, 1))
    if isinstance(model, pit.PoolingVisionTransformer) and model.head_dist is not None:
        rows = slice(0, 2)
    model = copy.deepcopy(model).double()
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    modules = attentions(model)
    image = image[None].double()
    kept = {module: {} for module in modules}
    for module in modules:
        _watch(module, kept[module], model)
    for block in model.modules():
        if hasattr(block, "norm1") and getattr(block, "attn", None) in kept:
            block.norm1.register_forward_hook(_keeper(kept[block.attn]))
    logits = model(image.clone().requires_grad_())
    outputs = [kept[module]["output"] for module in modules]
    gradients = torch.autograd.grad(logits[0].max(), outputs)
    with _Constant():
        model(image.clone().requires_grad_())
    maps = []
    for module, gradient in zip(modules, gradients, strict=True):
        own = kept[module]
        weight = torch.zeros_like(gradient)
        weight[:, rows] = gradient.clamp(min=0)[:, rows]
        score = (own["output"] * weight).sum()
        (slope,) = torch.autograd.grad(score, own["values"], retain_graph=True)
        share = (slope * own["values"]).detach()
        cells = own["cells"](share)
        maps.append(cells.clamp(min=0))
    return maps


def _keeper(kept: dict):
    """Keep the tokens of a block before any window is made of them."""

    def keep(module, args, output):
        kept["natural"] = output.detach().reshape(-1, output.shape[-1])

    return keep


def _watch(module: nn.Module, kept: dict, model: nn.Module) -> None:
    def values(m, args, output):
        kept["values"] = output
        if args:
            kept["arranged"] = args[0].detach()

    def output(m, args):
        kept["output"] = args[0]

    def enter(m, args):
        kept["cells"] = _places(m, kept, model)

    module.register_forward_pre_hook(enter)
    _values_of(module).register_forward_hook(values)
    module.proj.register_forward_pre_hook(output)


def _places(module: nn.Module, kept: dict, model: nn.Module) -> Callable[[Tensor], Tensor]:
    """How shares of the values become cells (n,), row by row."""
    if isinstance(module, swin_transformer.WindowAttention | twins.LocallyGroupedAttn):
        natural = kept["natural"]
        return lambda share: _matched(share, kept["arranged"], natural)
    if isinstance(module, hiera.MaskUnitAttention):
        return lambda share: unrolled(share.sum(dim=(0, 2)), model)
    if isinstance(module, mvitv2.MultiScaleAttention):
        return lambda share: share.sum(dim=(0, 1, 3)) if share.ndim == 4 else share.sum(dim=(0, 2))
    if _is_parallel(model):
        return lambda share: share.sum(dim=(0, 2))[model.num_prefix_tokens :]
    return lambda share: patches(share.sum(dim=(0, 2)))


def patches(tokens: Tensor) -> Tensor:
    """Tokens (N, …) without those before a square of patches."""
    side = int(len(tokens) ** 0.5)
    return tokens[len(tokens) - side * side :]


def _matched(share: Tensor, arranged: Tensor, natural: Tensor) -> Tensor:
    """Cells of windows whose tokens are those of the image in another order: equal tokens."""
    flat = arranged.reshape(-1, arranged.shape[-1])
    far = torch.cdist(flat, natural, compute_mode="donot_use_mm_for_euclid_dist")
    place = far.argmin(dim=1)
    assert (far.gather(1, place[:, None]) < 1e-9).all()
    assert len({*place.tolist()}) == len(place) == len(natural)
    cells = torch.zeros(len(natural), dtype=share.dtype)
    cells[place] = share.reshape(len(flat), -1).sum(dim=1)
    return cells


def unrolled(shares: Tensor, model: nn.Module) -> Tensor:
    """Cells (n,) of Hiera's tokens, whose order is that of its own unrolling, pooled in fours."""
    rows, columns = model.tokens_spatial_shape
    place = torch.stack(
        torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"), -1
    )
    place = model.unroll(place.reshape(1, -1, 2).double())[0]
    while len(place) > len(shares):
        place = (place.view(4, -1, 2)[0] / 2).floor()
        columns //= 2
    cells = torch.zeros_like(shares)
    cells[(place[:, 0] * columns + place[:, 1]).long()] = shares
    return cells

"""Grad-CAM, HiResCAM, LayerCAM and gradients from their definitions, seen by module hooks."""

import torch
from torch import Tensor, nn

from pipeline.flows import create_flow
from pipeline.models.structure.tokens import has_tokens
from tests.flows.towers import logits_in


def weigh(method, activation, gradient):
    """The three definitions, place by place, from (C, h, w) each."""
    maps = torch.zeros(activation.shape[1:], dtype=activation.dtype)
    for channel, slope in zip(activation, gradient, strict=True):
        if method == "gradcam":
            maps += channel * slope.sum() / slope.numel()
        elif method == "hirescam":
            maps += channel * slope
        else:
            maps += channel * slope.clamp(min=0)
    return maps.clamp(min=0)


def watched(model, images, target):
    """Outputs of every module and the gradients of the targets' logits, by module name."""
    kept = {}
    handles = []
    for name, module in model.named_modules():
        if hasattr(module, "inplace"):
            module.inplace = False
        if name:
            handles.append(
                module.register_forward_hook(lambda m, a, out, name=name: kept.update({name: out}))
            )
    logits = model(images)
    for handle in handles:
        handle.remove()
    kept = {name: out for name, out in kept.items() if isinstance(out, torch.Tensor)}
    score = logits.gather(1, target[:, None]).sum()
    gradients = torch.autograd.grad(score, list(kept.values()), allow_unused=True)
    return {name: pair for name, *pair in zip(kept, kept.values(), gradients, strict=True)}


def cam(method: str, model: nn.Module, image: Tensor, **options: str) -> list[Tensor]:
    """Return the maps of one image at the modules that the method names as its layers."""
    with create_flow(method, model, **options) as flow:
        layers = flow(image[None]).layers
    with torch.no_grad():
        target = model(image[None]).argmax(dim=1)
    seen, maps = watched(model, image[None], target), []
    for layer in layers:
        activation, gradient = (part[0].detach() for part in seen[layer])
        if activation.ndim == 2:
            rows, columns = model.patch_embed.dynamic_feat_size(image.shape[1:])
            prefix = len(activation) - rows * columns
            activation, gradient = (part[prefix:].T[..., None] for part in (activation, gradient))
        elif getattr(model, "output_fmt", "") == "NHWC":
            activation, gradient = (part.permute(2, 0, 1) for part in (activation, gradient))
        if method == "naflow":
            maps.append((activation * gradient).clamp(min=0).sum(0))
        else:
            maps.append(weigh(method, activation, gradient))
    return maps


def input_gradient(model: nn.Module, image: Tensor) -> list[Tensor]:
    # Beside a copy of itself: torch differentiates XCiT wrongly for a batch of one.
    pixels = torch.stack([image, image]).requires_grad_()
    logits_in(model(pixels)).amax(dim=1).sum().backward()
    return [sum(channel.abs() for channel in pixels.grad[0])]


def occlusion(model: nn.Module, image: Tensor, fill: str = "mean") -> list[Tensor]:
    """One pass of one image for every patch, or for every cell of 16 × 16 pixels."""
    height, width = image.shape[1:]
    rows, columns = -(-height // 16), -(-width // 16)
    if has_tokens(model):
        rows, columns = model.patch_embed.dynamic_feat_size((height, width))
    with torch.no_grad():
        logits = logits_in(model(image[None]))[0]
        found = torch.zeros(rows, columns)
        for row in range(rows):
            for column in range(columns):
                down = torch.tensor([_meet(row, rows, y, height) for y in range(height)])
                across = torch.tensor([_meet(column, columns, x, width) for x in range(width)])
                hidden = image.masked_fill(down[:, None] & across, 0)
                dimmed = logits_in(model(hidden[None]))[0]
                found[row, column] = logits.max() - dimmed[logits.argmax()]
    return [found.clamp(min=0)]


def _meet(cell: int, cells: int, pixel: int, pixels: int) -> bool:
    """Whether a pixel and one of ``cells`` equal parts of a side of ``pixels`` overlap."""
    return pixel * cells < (cell + 1) * pixels and cell * pixels < (pixel + 1) * cells

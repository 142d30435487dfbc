"""Coordinates through functions with windows: convolutions, poolings, padding, unfolding.

Every window gives a weighted mean of its coordinates, with the largest weights in its centre, and
over the image only: the padding of a window at the edge has no weight.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Sizes = int | Sequence[int]


def _tent(sizes: Sequence[int], like: Tensor) -> Tensor:
    """Return weights (1, 1, …) that decrease from the centre of a window to its edges."""
    sides = [
        torch.tensor([float(min(i + 1, size - i)) for i in range(size)], device=like.device)
        for size in sizes
    ]
    return reduce(lambda weights, side: weights[..., None] * side, sides)[None, None].to(like.dtype)


def _convolved(
    func: Callable[..., Tensor],
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    return _windows(func, x, weight, weight.shape[0], groups, options)


def _transposed(
    func: Callable[..., Tensor],
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    options["output_padding"] = output_padding
    return _windows(func, x, weight, weight.shape[1] * groups, groups, options)


def _windows(
    func: Callable[..., Tensor],
    x: Tensor,
    weight: Tensor,
    channels: int,
    groups: int,
    options: dict[str, Any],
) -> Tensor:
    """Return (B, channels, …), equal within a group: the mean of its channels, window by window."""
    images, size = x.shape[0], x.shape[2:]
    mean = x.reshape(images, groups, -1, *size).mean(2).flatten(0, 1)[:, None]
    tent = _tent(weight.shape[2:], mean)
    total = func(mean, tent, **options)
    there = func(torch.ones_like(mean[:1]), tent, **options)
    mean = total / torch.where(there > 0, there, 1)
    size = mean.shape[2:]
    mean = mean.view(images, groups, 1, *size).expand(-1, -1, channels // groups, *size)
    return mean.reshape(images, channels, *size).contiguous()


def _max_pooled(
    func: Callable[..., Any],
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    if return_indices or dilation not in (1, (1, 1), [1, 1]):
        return func(x, kernel_size, stride, padding, dilation, ceil_mode)
    return F.avg_pool2d(x, kernel_size, stride or None, padding, ceil_mode, False)  # type: ignore[arg-type]


def _mean_pooled(
    func: Callable[..., Tensor],
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    *rest: Any,
    **options: Any,
) -> Tensor:
    return F.avg_pool2d(x, kernel_size, stride or None, padding, ceil_mode, False)  # type: ignore[arg-type]


def _padded(
    func: Callable[..., Tensor],
    x: Tensor,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
) -> Tensor:
    """Return coordinates with repeated edges, whatever the fill value of the padding."""
    for axis, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True), 1):
        if before or after:
            size = x.shape[-axis]
            places = torch.arange(-before, size + after, device=x.device).clamp(0, size - 1)
            x = x.index_select(x.ndim - axis, places)
    return x.clone()


def unfolded(
    x: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Tensor:
    """Return the columns of windows; those over the edge repeat it."""
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    x = _padded(F.pad, x, (columns, columns, rows, rows))
    return F.unfold(x, kernel_size, dilation, 0, stride)  # type: ignore[arg-type]


def _folded(func: Callable[..., Tensor], x: Tensor, *args: Any, **options: Any) -> Tensor:
    there = func(torch.ones_like(x), *args, **options)
    return func(x, *args, **options) / there.clamp(min=1)


PLACED: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(["conv1d", "conv2d", "conv3d"], _convolved),
    **dict.fromkeys(["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"], _transposed),
    "max_pool2d": _max_pooled,
    "avg_pool2d": _mean_pooled,
    "adaptive_max_pool2d": lambda func, x, size, *rest, **options: F.adaptive_avg_pool2d(x, size),
    "pad": _padded,
    "fold": _folded,
}

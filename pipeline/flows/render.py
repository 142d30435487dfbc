"""Frames of a flow for viewing, not for measurement."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.flows.flow import accumulate

_GAIN = 5.0


def render(
    maps: Tensor, size: tuple[int, int], mode: Literal["sigmoid", "linear"] = "sigmoid"
) -> Tensor:
    """Return one 8-bit frame per layer of the accumulated flow.

    The frames are quantised on the maps' own grid, by truncation, and then enlarged bilinearly
    (half-pixel centres, edges repeated) and rounded, as the authors of DAAM do. With F_b the
    accumulated map of a layer and M, m the maximum and minimum of the last one:

    * ``sigmoid`` (their code): z = σ(5·F_b / M) − ½, stretched to 0 … 255 frame by frame;
    * ``linear`` (the figures of arXiv 2503.14640): brightness
      255·(max F_b − min F_b) / (M − m) times max(0, (F_b − m) / (max F_b − m + 1e-10)),
      at most 255, so frames grow brighter with depth.

    Zero, constant or non-finite maps give zeros.

    Parameters
    ----------
    maps
        (B, L, h, w) raw, on any device.
    size
        Height and width of the frames in pixels.

    Returns
    -------
    Tensor
        uint8 (B, L, H, W).
    """
    flow = accumulate(maps.detach().float())
    low, high = flow.amin(dim=(-2, -1), keepdim=True), flow.amax(dim=(-2, -1), keepdim=True)
    if mode == "sigmoid":
        level = _sigmoid(flow, high[:, -1:])
    elif mode == "linear":
        level = _linear(flow, low, high)
    else:
        raise ValueError(f"there is no mode {mode!r}; use sigmoid or linear")
    frames = torch.nan_to_num(level, nan=0.0, posinf=0.0, neginf=0.0).clamp(0, 255).floor()
    frames = F.interpolate(frames, size=tuple(size), mode="bilinear", align_corners=False)
    return frames.round().to(torch.uint8)


def _sigmoid(flow: Tensor, top: Tensor) -> Tensor:
    """Return σ(5·F/M) − ½ stretched to 0 … 255 per frame; NaN where a frame is constant."""
    bent = torch.tanh(_GAIN / 2 * flow / top) / 2  # σ(x) − ½ without its cancellation
    low, high = bent.amin(dim=(-2, -1), keepdim=True), bent.amax(dim=(-2, -1), keepdim=True)
    return 255 * ((bent - low) / (high - low))


def _linear(flow: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return the frames in the last frame's range; NaN where that range is empty."""
    bottom, top = low[:, -1:], high[:, -1:]
    brightness = 255 * ((high - low) / (top - bottom))
    return brightness * ((flow - bottom) / (high - bottom + 1e-10)).clamp(min=0)

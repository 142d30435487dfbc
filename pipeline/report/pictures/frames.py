"""Frames of an image's overlay: every layer, accumulated and alone, with what its colours mean."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.flows import accumulate, render

_GAIN = 5.0  # of the sigmoid in pipeline.flows.render
VIEWS = ("accumulated", "layer")
"""What is drawn of a flow, in the order of an overlay's columns."""


@dataclass(frozen=True)
class Frames:
    """Frames of one or two flows (the answer's, the label's), a column per flow and view.

    Attributes
    ----------
    levels : uint8 (columns, L, h, w)
    lifts : float64 (columns, L, 3)
        What the darkest, the middle and the brightest colour of a frame stand for; 1 is a cell of a
        uniform map. NaN where a layer has no mass.
    """

    levels: NDArray[np.uint8]
    lifts: NDArray[np.float64]


def draw_frames(flows: NDArray[np.float32], size: tuple[int, int]) -> Frames:
    """Draw flows (n, L, h, w) of one image at ``size`` (height, width), each frame in its contrast.

    Accumulated frames are those of :func:`pipeline.flows.render`; a frame of a layer alone is drawn
    as that of a flow which has this layer only.
    """
    maps = torch.from_numpy(flows)
    levels, lifts = [], []
    for flow in maps:
        alone = flow[:, None]
        levels.append(render(flow[None], size=size, mode="sigmoid")[0].numpy())
        levels.append(render(alone, size=size, mode="sigmoid")[:, 0].numpy())
        whole = accumulate(flow[None].float())[0].double().numpy()
        lifts.append(_lifts(whole, np.broadcast_to(whole[-1].max(), len(whole))))
        own = flow.double().numpy()
        lifts.append(_lifts(own, own.max(axis=(1, 2))))
    return Frames(np.stack(levels), np.stack(lifts))


def _lifts(frames: NDArray[np.float64], top: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lifts at both ends and in the middle of the colours of frames (L, h, w), (L, 3).

    ``top`` (L,) is the value by which the sigmoid of each frame is scaled.
    """
    low, high, mean = frames.min((1, 2)), frames.max((1, 2)), frames.mean((1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        bent = [np.tanh(_GAIN / 2 * end / top) for end in (low, high)]
        middle = np.arctanh((bent[0] + bent[1]) / 2) * top * 2 / _GAIN
        lifts = np.stack([low, middle, high], axis=1) / mean[:, None]
    return np.where(np.isfinite(lifts), lifts, np.nan)

"""A flow as an animated WebP, to be saved and shown elsewhere."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.report.pictures.palettes import INFERNO
from pipeline.report.pictures.sprites import levels

SIDE = 224
"""Longest side of a frame in pixels, about: a cell is a whole number of pixels."""
FRAME_MS = 350
_LAST_MS = 1_400  # the finished flow stays a little


def animate(flow: NDArray[np.floating]) -> bytes:
    """Return an accumulated flow as an animation, one frame per layer, played once.

    Parameters
    ----------
    flow : (L, h, w)
        Non-negative, accumulated; all frames share one colour scale, up to the 97.5th percentile
        of the last one. Values that are not finite show as zero.

    Returns
    -------
    bytes
        WebP, lossless; the same flow gives the same bytes.
    """
    height, width = flow.shape[1:]
    pixels = max(1, SIDE // max(height, width))
    last = np.nan_to_num(flow[-1])
    shades = levels(flow, float(np.quantile(last, 0.975)) or float(last.max(initial=0.0)))
    large = shades.repeat(pixels, axis=1).repeat(pixels, axis=2)
    frames = [Image.fromarray(INFERNO[frame]) for frame in large]
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=[FRAME_MS] * (len(frames) - 1) + [_LAST_MS],
        loop=1,
        lossless=True,
        method=4,
    )
    return buffer.getvalue()

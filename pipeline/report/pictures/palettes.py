"""Palettes: which colour stands for which level, (256, 3) uint8 each."""

from importlib import resources

import numpy as np
from numpy.typing import NDArray

_PURPLE_ORANGE = (
    *("2d004b", "542788", "8073ac", "b2abd2", "d8daeb", "f7f7f7"),
    *("fee0b6", "fdb863", "e08214", "b35806", "7f3b08"),
)
"""The 11 classes of ColorBrewer's PuOr, from violet to orange. This product includes color
specifications and designs developed by Cynthia Brewer (http://colorbrewer.org/; Apache-2.0)."""


def _colours(codes: list[str] | tuple[str, ...]) -> NDArray[np.uint8]:
    """Return the colours (n, 3) of codes such as ``f7f7f7``."""
    return np.frombuffer(bytes.fromhex("".join(codes)), np.uint8).reshape(-1, 3)


def _inferno() -> NDArray[np.uint8]:
    text = resources.files("pipeline.report").joinpath("palettes", "inferno.txt").read_text("ascii")
    return _colours([code for line in text.splitlines() if line[0] != "#" for code in line.split()])


def _interpolated(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 256 colours that pass linearly through some classes."""
    at, places = np.linspace(0, 1, 256), np.linspace(0, 1, len(classes))
    # Whole numbers may come out a hair too low.
    channels = [np.floor(np.interp(at, places, channel) + 1e-9) for channel in classes.T]
    return np.stack(channels, axis=1).astype(np.uint8)


INFERNO = _inferno()
"""Perceptually uniform, safe for colour-blind readers, monotonic in grey print."""

_ALPHA = (np.linspace(0, 1, 256) ** 0.75 * 255).astype(np.uint8)
TRANSPARENT = np.concatenate([INFERNO, _ALPHA[:, None]], axis=1)
"""The same with an opacity (256, 4), to lie over a photo: nothing hides nothing."""

DIVERGING = _interpolated(_colours(_PURPLE_ORANGE))
"""Violet below, white at zero, orange above; safe for colour-blind readers."""

"""``show``: one row as a picture for a notebook, the crop and the flow over it."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import ConfigError
from pipeline.flows import render
from pipeline.report.pictures.palettes import INFERNO
from pipeline.store import Run
from pipeline.store.crops import CropReader

_STRONGEST = 0.75
"""Opacity of the strongest cell: the photograph stays visible below it."""
_GREY = 127


def show(run: Run, row: int, layer: int | None = None) -> Image.Image:
    """Draw what the model saw, and beside it the accumulated flow over it.

    Parameters
    ----------
    row
        Number of the image, as in the summary and the index.
    layer
        The layer up to which the flow is accumulated, -1 the last; all layers, side by side, if
        not given.

    Returns
    -------
    PIL image
        The model's input and one frame per layer, each as large as that input. A picture that
        cannot be read any more is grey; without mass there is nothing over it.

    Raises
    ------
    ConfigError
        There is no such row or layer.
    """
    rows, layers = run.spec.rows, len(run.spec.layers)
    if not 0 <= row < rows:
        raise ConfigError(f"there is no row {row}; the run has rows 0 to {rows - 1}")
    if layer is not None and not -layers <= layer < layers:
        raise ConfigError(f"there is no layer {layer}; the run has layers 0 to {layers - 1}")
    crop = CropReader(run, [row]).show(row)
    photo = _photo(run, crop.pixels)
    height, width = photo.shape[:2]
    maps = torch.from_numpy(run.read_maps(row, row + 1))
    frames = render(maps, size=(height, width))[0].numpy()
    if layer is not None:
        frames = frames[layer][None]
    return Image.fromarray(np.concatenate([photo, *(_over(photo, f) for f in frames)], axis=1))


def _photo(run: Run, pixels: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    if pixels is None:
        return np.full((*run.spec.input["size"], 3), _GREY, np.uint8)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))


def _over(photo: NDArray[np.uint8], frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay a frame (H, W) over a photograph (H, W, 3), the stronger the more it hides."""
    opacity = (frame / 255.0 * _STRONGEST)[..., None]
    return np.rint(photo * (1 - opacity) + INFERNO[frame] * opacity).astype(np.uint8)

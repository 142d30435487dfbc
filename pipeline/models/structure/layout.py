"""Whether the cells of a tensor lie on the image as its axes imply: a proof, not a guess.

A model is run on the coordinates of an image's pixels
(:mod:`pipeline.models.structure.coordinates`). A tensor (B, C, h, w) lies on the image if, by the
coordinates of its cells,

* no cell of a row lies above one of the row before it, and the last row below the first, and
* no cell of a column lies to the left of one of the column before it, and the last column to the
  right of the first.

Tensors whose channels are mistaken for positions, transposed or mirrored grids, windows that were
not reassembled and shuffled tokens do not. Where every cell comes from the whole image (a pooled
vector, or tokens mixed completely) nothing can be proved, so that does not lie on the image either.
Coordinates are float64; the margin is above the rounding of float32, in case the model casts to it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from pipeline.errors import FlowatlasError, UnsupportedModel
from pipeline.models.structure.attention_calls import exploring
from pipeline.models.structure.coordinates import Coordinates, marked

_MARGIN = 8 * torch.finfo(torch.float32).eps


@contextmanager
def coordinates(images: Tensor) -> Iterator[Tensor]:
    """Yield two images (2, C, H, W) of coordinates, to be run through a model within the context.

    The first holds every pixel's row from -1 (top) to 1 (bottom), the second its column from -1
    (left) to 1 (right). The values of a pass on them are coordinates too. ``images`` (B, C, H, W)
    give the size and the device.

    Raises
    ------
    UnsupportedModel
        The model does not run, or selects positions by their values.
    """
    height, width = images.shape[-2:]
    rows, columns = (
        (2 * torch.arange(n, dtype=torch.float64) + 1) / n - 1 for n in (height, width)
    )
    both = torch.stack([rows[:, None].expand(height, width), columns.expand(height, width)])
    both = both[:, None].repeat(1, images.shape[1], 1, 1).to(images.device)
    with (
        exploring(),
        torch.inference_mode(False),
        torch.autocast(images.device.type, enabled=False),
        Coordinates(),
        _in_a_sentence(height, width),
    ):
        yield marked(both)


@contextmanager
def _in_a_sentence(height: int, width: int) -> Iterator[None]:
    """Turn what a model raises in its very first pass into an UnsupportedModel."""
    try:
        yield
    except (FlowatlasError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # of any model's own code
        first = str(error).strip().splitlines()[:1] or [type(error).__name__]
        if first[0].startswith("RNN input dtype"):  # torch's check of a recurrent layer's input
            raise UnsupportedModel(
                "the model runs a recurrent layer (LSTM, GRU) over positions, which mixes those "
                "before each, so its layers cannot be traced to the image; use input_gradient"
            ) from error
        raise UnsupportedModel(
            f"the model does not run on images of {height} × {width} pixels, or its values "
            f"cannot be traced to positions on the image ({first[0]}); check the size of the "
            "images, or use another model"
        ) from error


def lies_on_image(maps: Tensor) -> bool:
    """Return whether coordinates (2, C, h, w), mean over channels, ascend with rows and columns."""
    with torch._C.DisableTorchFunction():  # here coordinates are numbers
        rows, columns = maps.detach().double().mean(dim=1)
        return _ascend(rows) and _ascend(columns.T)


def channels_last(values: Tensor) -> bool | None:
    """Return how a tensor of coordinates lies on the image: (B, h, w, C), or (B, C, h, w).

    None if neither is the case.
    """
    if values.ndim != 4 or len(values) != 2:
        return None
    if lies_on_image(values):
        return False
    return True if lies_on_image(values.permute(0, 3, 1, 2)) else None


def _ascend(lines: Tensor) -> bool:
    """Return whether lines of coordinates (n, m) are in order, and the last is after the first."""
    if len(lines) == 1:
        return True
    low, high, margin = lines.amin(dim=1), lines.amax(dim=1), _MARGIN * lines.abs().amax()
    return bool((low[1:] - high[:-1] >= -margin).all() and low[-1] - high[0] > margin)

"""Maps to measure: hypothesis strategies, and flows of seeded maps that differ in kind."""

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from pipeline.flows import Flow

GRIDS = st.tuples(st.integers(1, 7), st.integers(1, 7))
# Far enough from the end of float32 that scaling by 2⁻⁴⁰ loses no bit.
CELLS = st.just(0.0) | st.floats(2**-60, 1024, width=32)


@st.composite
def grid_maps(draw: st.DrawFn, layers: int | None = None, grids=GRIDS) -> Tensor:
    """A float32 map (h, w), or maps (layers, h, w), each with some mass."""
    shape = draw(grids)
    if layers is not None:
        shape = (layers, *shape)
    values = draw(hnp.arrays(np.float32, shape, elements=CELLS, fill=st.sampled_from([0.0, 1.0])))
    maps = torch.from_numpy(values)
    for layer in maps.reshape(-1, *maps.shape[-2:]):
        if layer.sum() < 1e-3:
            layer.flatten()[draw(st.integers(0, layer.numel() - 1))] = 1.0
    return maps


def flow_of(maps: Tensor, seed: int = 0) -> Flow:
    """Return a flow with these maps (B, L, h, w) and seeded extras, like a method's."""
    images, layers, height, width = maps.shape
    rng = np.random.default_rng(seed)
    extras = {
        "prefix_mass": rng.random((images, layers), np.float32),
        "token_norm": rng.lognormal(2, 1, (images, height, width)).astype(np.float32),
    }
    logits = torch.from_numpy(rng.normal(size=(images, 5)).astype(np.float32))
    return Flow(
        maps=maps,
        layers=tuple(f"blocks.{b}" for b in range(layers)),
        logits=logits,
        target=logits.argmax(1),
        extras={name: torch.from_numpy(values) for name, values in extras.items()},
    )


def seeded_maps(images: int, layers: int, grid: tuple[int, int], seed: int = 0) -> Tensor:
    """Maps (B, L, h, w) from flat to peaked, over ten decades of mass."""
    rng = np.random.default_rng(seed)
    power = rng.uniform(0, 8, (images, layers, 1, 1))
    decade = rng.uniform(-6, 4, (images, layers, 1, 1))
    maps = rng.random((images, layers, *grid)) ** power * 10**decade
    return torch.from_numpy(maps.astype(np.float32))


def seeded_boxes(images: int, most: int, seed: int = 0) -> Tensor:
    """Boxes (B, most, 4) in fractions; from none to ``most`` per image, the rest NaN."""
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.random((images, most, 2, 2)), 2).reshape(images, most, 4)
    for image in range(images):
        corners[image, image % (most + 1) :] = np.nan
    return torch.from_numpy(corners.astype(np.float32))


def image_of(flow: Flow, image: int) -> Flow:
    """Return the flow of one image alone, in memory of its own."""
    part = slice(image, image + 1)
    return Flow(
        maps=flow.maps[part].clone(),
        layers=flow.layers,
        logits=flow.logits[part].clone(),
        target=flow.target[part].clone(),
        extras={name: values[part].clone() for name, values in flow.extras.items()},
    )

"""Methods of other libraries beside ours, as they are: ``pip install 'flowatlas[peers]'``.

``grad-cam/…`` are those of pytorch-grad-cam on the last layer with a map, as its documentation
uses them: of a vision transformer the input of the last block, of a convolutional network its last
feature map. They come scaled to [0, 1] and enlarged to the input. ``captum/…`` are those of captum
on pixels: of Saliency the absolute values; of the others the signed values, which add up, are
summed in each cell, and a sum below zero becomes zero, as it is in a map of occlusion.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module, util
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.flows.hiding import blocks
from pipeline.flows.resample import resample
from pipeline.models.structure.tokens import has_tokens

PEERS = (
    *("grad-cam/GradCAM", "grad-cam/HiResCAM", "grad-cam/LayerCAM", "grad-cam/EigenCAM"),
    *("captum/Saliency", "captum/InputXGradient", "captum/IntegratedGradients"),
    "captum/Occlusion",
)
"""Library and class of every peer."""

_MODULES = {"grad-cam": "pytorch_grad_cam", "captum": "captum.attr"}
_STEPS = 20
"""Of integrated gradients, from the mean colour."""
_TOGETHER = 32
"""Images of integrated gradients that are computed at once."""

Float = NDArray[np.float64]
Explain = Callable[[Tensor, Tensor], Float]


def is_peer(name: str) -> bool:
    """Return whether a name is that of another library's method."""
    return "/" in name


def check_peers(names: tuple[str, ...]) -> None:
    """Raise ConfigError unless all of these are peers whose library is installed."""
    for name in filter(is_peer, names):
        if name not in PEERS:
            raise ConfigError(f"there is no peer {name!r}; use one of {', '.join(PEERS)}")
        if util.find_spec(_MODULES[name.split("/")[0]].split(".")[0]) is None:
            raise ConfigError(f"{name} needs: pip install 'flowatlas[peers]'")


@contextmanager
def open_peer(name: str, model: nn.Module, grid: tuple[int, int]) -> Iterator[Explain]:
    """Open a peer on a model; what it hooks is removed at the end.

    Raises
    ------
    ConfigError
        There is no such peer, or it is not installed.
    UnsupportedModel
        The model has no layer with a map that the library can read, or returns no tensor.
    """
    check_peers((name,))
    library, kind = name.split("/")
    method = getattr(import_module(_MODULES[library]), kind)
    if library == "captum":
        yield _captum(method(model), kind, grid)
        return
    layer, reshape = _last_layer(model)
    with method(model=model, target_layers=[layer], reshape_transform=reshape) as cam:
        yield _cam(cam, grid)


def _cam(cam: Any, grid: tuple[int, int]) -> Explain:
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def explain(images: Tensor, targets: Tensor) -> Float:
        wanted = [ClassifierOutputTarget(target) for target in targets.tolist()]
        with torch.enable_grad():  # parameters are frozen: the graph begins at the images
            found = cam(input_tensor=images.clone().requires_grad_(), targets=wanted)
        maps = torch.from_numpy(np.ascontiguousarray(found)).double()
        return resample(maps, grid).flatten(1).numpy()

    return explain


def _captum(method: Any, kind: str, grid: tuple[int, int]) -> Explain:
    def explain(images: Tensor, targets: Tensor) -> Float:
        given: dict[str, Any] = {"target": targets}
        if kind == "IntegratedGradients":
            given |= {"n_steps": _STEPS, "internal_batch_size": max(_TOGETHER, len(images))}
        if kind == "Occlusion":
            window = (images.shape[1], *_window(images.shape[-2:], grid))
            given |= {"sliding_window_shapes": window, "strides": window}
        with torch.enable_grad():
            found = method.attribute(images.clone().requires_grad_(), **given)
        pixels = found.detach().double().sum(1)
        if kind == "Saliency":
            pixels = found.detach().double().abs().sum(1)
        return resample(pixels, grid).clamp(min=0).flatten(1).cpu().numpy()

    return explain


def _window(size: torch.Size, grid: tuple[int, int]) -> tuple[int, int]:
    """Return the pixels of a cell; UnsupportedModel where cells are of different sizes."""
    sides = [
        {part.stop - part.start for part in blocks(cells, pixels)}
        for cells, pixels in zip(grid, size, strict=True)
    ]
    if any(len(side) > 1 for side in sides):
        raise UnsupportedModel(
            f"captum/Occlusion needs a grid that divides the input of {size[0]}×{size[1]} pixels, "
            f"not {grid[0]}×{grid[1]}; use occlusion"
        )
    return sides[0].pop(), sides[1].pop()


def _last_layer(model: nn.Module) -> tuple[nn.Module, Callable[[Tensor], Tensor] | None]:
    """Return the layer that grad-cam explains, and how its output becomes a map."""
    if has_tokens(model):
        network: Any = model

        def as_map(tokens: Tensor) -> Tensor:
            patches = tokens[:, network.num_prefix_tokens :].mT
            return patches.reshape(*patches.shape[:2], *network.patch_embed.grid_size)

        return network.blocks[-1].norm1, as_map
    return _last_with_a_map(model), None


def _last_with_a_map(model: nn.Module) -> nn.Module:
    """Return the module that is last to give a map of more than one cell."""
    seen: list[nn.Module] = []

    def look(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1:
            seen.append(module)

    hooks = [module.register_forward_hook(look) for module in model.modules()]
    try:
        parameter = next(model.parameters())
        size = getattr(model, "pretrained_cfg", {}).get("input_size", (3, 224, 224))
        with torch.no_grad():
            model(torch.zeros(1, *size, dtype=parameter.dtype, device=parameter.device))
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise UnsupportedModel(
            f"no module of {type(model).__name__} gives a map of the image, as grad-cam needs; "
            "use input_gradient"
        )
    return seen[-1]

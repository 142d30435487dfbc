"""``SplitEncoder``: an image encoder in two parts, up to the output of one module and behind it.

The output is a value x at places of the image: tokens (B, N, C), or a feature map. The embedding is
then a function e(x), if everything that reaches it passes through that module.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.models.sharing import of_this_thread
from pipeline.models.structure.anatomy import feature_size
from pipeline.models.structure.embedding import Kind, embed
from pipeline.models.structure.layout import channels_last, coordinates, lies_on_image

_NAMED = 12
"""Layers that a message names."""

Axes = Literal["BNC", "BCHW", "BHWC"]


@dataclass(frozen=True)
class Places:
    """Where the values of a layer lie on the image.

    ``axes`` of its output; the first ``num_prefix_tokens`` are no places of the image, the others
    lie on ``grid``, row by row.
    """

    axes: Axes
    num_prefix_tokens: int
    grid: tuple[int, int]

    def of_tokens(self, values: Tensor) -> Tensor:
        """Return the sums over channels of values shaped as the layer's output, (B, tokens)."""
        return values.sum(1 if self.axes == "BCHW" else -1).flatten(1)


class SplitEncoder:
    """An encoder in evaluation mode, split behind the module ``layer``.

    Parameters
    ----------
    model
        A timm model in evaluation mode, with frozen parameters.
    layer
        Name of the module; by default :func:`default_layer`.
    kind
        What the embedding is; see :func:`pipeline.models.structure.embedding.embed`.

    Raises
    ------
    ConfigError
        The model has no such module.
    UnsupportedModel
        It has no embedding, or no layer to choose by itself.
    """

    def __init__(self, model: nn.Module, layer: str | None = None, kind: Kind = "model") -> None:
        if not hasattr(model, "forward_head") or not hasattr(model, "forward_features"):
            raise UnsupportedModel(
                f"{type(model).__name__} has no forward_features and forward_head, so it is not "
                "known what its classifier reads; use a timm model"
            )
        self.layer = layer or default_layer(model)
        known = dict(model.named_modules())
        if not self.layer or self.layer not in known:
            raise ConfigError(
                f"{type(model).__name__} has no module {self.layer!r}; "
                f"use one of {', '.join(layers_of(model) or list(known)[1:9])}"
            )
        self._model, self._module, self._kind = model, known[self.layer], kind

    def split(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the layer's output and the embeddings (B, D) of images (B, 3, H, W)."""
        seen: list[Tensor] = []
        with torch.no_grad():
            embeddings = self._run(images, seen.append)
        return self._only(seen), embeddings

    def embed(self, values: Tensor, images: Tensor) -> Tensor:
        """Return the embeddings (B, D) of values of the layer, with a graph if they need one.

        ``images`` (B, 3, H, W) are those that the model runs on; only their size matters.
        """

        def replace(output: Any) -> Tensor:
            return values.to(output.dtype)

        return self._run(images, replace)

    def places(self, images: Tensor) -> Places:
        """Find where the layer's values lie on images of this size, by running the model.

        Raises
        ------
        UnsupportedModel
            They do not lie on the image, or not everything that reaches the embedding passes
            through the layer.
        """
        with coordinates(images) as points:
            seen: list[Tensor] = []
            self._run(points, seen.append)
            found = self._places(self._only(seen), images)
        self._check_passage(images)
        return found

    def _places(self, output: Tensor, images: Tensor) -> Places:
        name = type(self._model).__name__
        if output.ndim == 4:
            last = channels_last(output)
            if last is not None:
                rows, columns = output.shape[1:3] if last else output.shape[2:]
                return Places("BHWC" if last else "BCHW", 0, (rows, columns))
        elif output.ndim == 3:
            size = (images.shape[-2], images.shape[-1])
            rows, columns = map(int, feature_size(self._model, name)(size))
            prefix = output.shape[1] - rows * columns
            if prefix in (0, int(getattr(self._model, "num_prefix_tokens", 0))):
                maps = output[:, prefix:].mT.reshape(len(output), -1, rows, columns)
                if lies_on_image(maps):
                    return Places("BNC", prefix, (rows, columns))
        shape = ", ".join(["B", *map(str, output.shape[1:])])
        raise UnsupportedModel(
            f"the output ({shape}) of {self.layer} in {name} has no known places on the image, so "
            f"there are no patches to attribute to; {self._others()}"
        )

    @torch.no_grad()
    def _check_passage(self, images: Tensor) -> None:
        """Compare the embeddings of some images with those of their values on other images."""
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(2, *images.shape[1:], generator=generator).to(images)
        values, wanted = self.split(noise)
        found = self.embed(values, torch.zeros_like(noise))
        if not torch.allclose(found, wanted, rtol=0, atol=float(1e-4 * wanted.abs().amax())):
            raise UnsupportedModel(
                f"not all that reaches the embedding goes through {self.layer} of "
                f"{type(self._model).__name__}; {self._others()}"
            )

    def _run(self, images: Tensor, hook: Callable[[Any], Any]) -> Tensor:
        """Embed images; the hook gets the layer's output, and may return another one."""

        def passed(module: nn.Module, inputs: Any, output: Any) -> Any:
            return hook(output)

        handle = self._module.register_forward_hook(of_this_thread(passed))
        try:
            return embed(self._model, images, self._kind)
        finally:
            handle.remove()

    def _only(self, seen: list[Tensor]) -> Tensor:
        if len(seen) == 1 and isinstance(seen[0], Tensor):
            return seen[0]
        what = f"runs {len(seen)} times" if len(seen) != 1 else "does not give one tensor"
        raise UnsupportedModel(
            f"{self.layer} of {type(self._model).__name__} {what}; {self._others()}"
        )

    def _others(self) -> str:
        others = [name for name in layers_of(self._model) if name != self.layer]
        if not others:
            return "use another model"
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        return f"use another layer: {', '.join(others[:_NAMED])}{more}"


def layers_of(model: nn.Module) -> tuple[str, ...]:
    """Return the modules that a model is usually split at: its blocks, or else its stages."""
    blocks = getattr(model, "blocks", None)
    if isinstance(blocks, nn.Sequential | nn.ModuleList) and hasattr(model, "patch_embed"):
        return tuple(f"blocks.{number}" for number in range(len(blocks)))
    known = dict(model.named_modules())
    named = (str(item["module"]) for item in getattr(model, "feature_info", None) or ())
    return tuple(dict.fromkeys(name for name in named if name in known))


def default_layer(model: nn.Module) -> str:
    """Return the block at three quarters of the depth, or the last stage.

    Raises
    ------
    UnsupportedModel
        The model has neither.
    """
    names = layers_of(model)
    if not names:
        raise UnsupportedModel(
            f"{type(model).__name__} has neither blocks nor stages that are known; name a layer "
            "whose output is a map of patches"
        )
    of_blocks = names[0] == "blocks.0" and hasattr(model, "patch_embed")
    return names[(3 * len(names) - 1) // 4] if of_blocks else names[-1]

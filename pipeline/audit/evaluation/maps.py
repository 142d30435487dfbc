"""The maps to evaluate: those of methods on a run's model, and of baselines."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.audit.baselines import centre, edges
from pipeline.audit.evaluation.peers import is_peer, open_peer
from pipeline.audit.sample import Sample
from pipeline.engine.context import Context, open_method
from pipeline.errors import ConfigError, FlowatlasError, UnsupportedModel
from pipeline.flows.resample import resample
from pipeline.models import LoadedModel

METHODS = (
    *("daam", "relevance", "rollout", "attention", "projection"),
    *("gradcam", "hirescam", "layercam", "input_gradient", "activation"),
)
"""What is compared unless the user names methods: those that need no options."""

OWN = "flow"
"""The name of the run's own maps."""

UNIFORM = "uniform"
"""The baseline that is the same everywhere: what the area of the boxes alone gives."""

BASELINES = ("edges", "centre", "random", UNIFORM)

_SEED = 1

Float = NDArray[np.float64]
Explain = Callable[[Tensor, Tensor], Float]
"""Normalised images (B, 3, H, W) and classes (B,) → accumulated maps (B, cells), on the grid."""


@contextmanager
def opened(
    name: str, loaded: LoadedModel, context: Context, options: Mapping[str, Any] | None = None
) -> Iterator[Explain]:
    """Open a method on a model: a method by its name, a peer, or the run's own by ``OWN``.

    Raises
    ------
    ConfigError, UnsupportedModel
        The method does not explain this model, or rejects its options.
    """
    grid, device = context.run.spec.grid, context.device
    if is_peer(name):
        with open_peer(name, loaded.model, grid) as explain:
            yield explain
        return
    config, references = context.run.config, context.references
    changed: dict[str, object] = {
        "features": False,
        "heads": False,
        "channels": False,
    }  # nobody reads them here
    if name != OWN:  # references belong to the run's own method
        changed |= {"method": name, "options": dict(options or {}), "references": None}
        references = None
    config = config.model_copy(update={"flow": config.flow.model_copy(update=changed)})
    with ExitStack() as stack:
        _, flow = open_method(config, loaded, references, device, stack)

        def explain(images: Tensor, targets: Tensor) -> Float:
            with context.autocast:
                maps = flow(images, targets).maps.sum(dim=1)
            return resample(maps.double(), grid).flatten(1).cpu().numpy()

        yield explain


def fitting(
    names: Sequence[str], loaded: LoadedModel, context: Context
) -> tuple[list[str], dict[str, str]]:
    """Return the methods that explain a model, and of the others why they do not.

    Each is tried on a blank image.
    """
    height, width = context.run.spec.input["size"]
    blank = torch.zeros(1, 3, height, width, device=context.device)
    target = torch.zeros(1, dtype=torch.int64, device=context.device)
    fine, why = [], {}
    for name in dict.fromkeys(names):
        try:
            with opened(name, loaded, context) as explain:
                explain(blank, target)
        except (UnsupportedModel, ConfigError) as error:
            why[name] = str(error)
        else:
            fine.append(name)
    return fine, why


def batched(explain: Explain, images: Tensor, targets: Tensor, size: int) -> Float:
    """Explain images in batches of at most ``size``; (n, cells)."""
    parts = zip(torch.split(images, size), torch.split(targets, size), strict=True)
    return np.concatenate([explain(*part) for part in parts])


def baseline_maps(sample: Sample, grid: tuple[int, int]) -> dict[str, Float]:
    """Return maps (n, cells) that know nothing of the model, by name; those of an image its own."""
    count, cells = sample.flows.shape
    random = [np.random.default_rng([_SEED, row]).random(cells) for row in sample.rows.tolist()]
    return {
        "edges": edges(sample.pixels, grid),
        "centre": np.tile(centre(grid), (count, 1)),
        "random": np.array(random).reshape(count, cells),
        UNIFORM: np.ones((count, cells)),
    }


def inputs_of(sample: Sample, context: Context) -> tuple[Tensor, Tensor]:
    """Return normalised images (n, 3, H, W) and their explained classes (n,), on the device.

    Raises
    ------
    FlowatlasError
        The run explains no class.
    """
    if sample.targets is None:
        raise FlowatlasError(
            f"{context.run.uri} explains no class, so no logit falls when a patch is hidden"
        )
    images = context.transform.normalise(sample.pixels.to(context.device))
    return images, sample.targets.to(context.device)

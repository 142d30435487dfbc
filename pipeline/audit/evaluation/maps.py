"""The maps to evaluate: those of methods on a run's model, and of baselines."""

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.audit.baselines import centre, edges
from pipeline.audit.sample import Sample
from pipeline.engine.context import Context, load_configured, open_method
from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.flows.resample import resample

METHODS = (
    *("daam", "relevance", "rollout", "attention", "projection"),
    *("gradcam", "hirescam", "layercam", "input_gradient", "activation"),
)
"""What is compared unless the user names methods: those that need no options."""

_SEED = 1

Float = NDArray[np.float64]


def method_maps(
    name: str, options: dict[str, object], sample: Sample, context: Context
) -> Float | str:
    """Return a method's accumulated maps of a sample (n, cells) on the run's grid, or why not."""
    config = context.run.config
    # References belong to the run's own method; its embeddings and heads are not needed.
    changed: dict[str, object] = {"method": name, "options": options, "references": None}
    changed |= {"features": False, "heads": False}
    flow_config = config.flow.model_copy(update=changed)
    config = config.model_copy(update={"flow": flow_config})
    loaded = load_configured(config.model)
    loaded.model.to(context.device)
    found: list[Float] = []
    try:
        with ExitStack() as stack:
            _, flow = open_method(config, loaded, None, context.device, stack)
            for inputs, targets in batches(sample, context):
                with context.autocast:
                    maps = flow(inputs, targets).maps.sum(dim=1)
                placed = resample(maps.double(), context.run.spec.grid)
                found.append(placed.flatten(1).cpu().numpy())
    except (UnsupportedModel, ConfigError) as error:
        return str(error)
    return np.concatenate(found)


def baseline_maps(sample: Sample, grid: tuple[int, int]) -> dict[str, Float]:
    """Return maps (n, cells) that know nothing of the model, by name."""
    return {
        "edges": edges(sample.pixels, grid),
        "centre": np.tile(centre(grid), (len(sample.flows), 1)),
        "random": np.random.default_rng(_SEED).random(sample.flows.shape),
    }


def batches(sample: Sample, context: Context) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
    """Yield normalised images (B, 3, H, W) and their explained classes (B,), on the device."""
    size = context.run.config.flow.batch_size
    for lo in range(0, len(sample.pixels), size):
        part = slice(lo, lo + size)
        targets = None if sample.targets is None else sample.targets[part].to(context.device)
        yield context.transform.normalise(sample.pixels[part].to(context.device)), targets

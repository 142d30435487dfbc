"""Sanity: do the maps depend on the model, and are they more than what needs no model?

Adebayo et al., "Sanity Checks for Saliency Maps" (2018): with the weights of every parameter
shuffled, a map must change. And three baselines that know nothing of the model: random cells, a
centre prior, and the edges in the pixels.
"""

from collections.abc import Mapping
from contextlib import ExitStack

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.audit.baselines import BASELINES, centre, edges
from pipeline.audit.compare.shared_images import rank_correlation
from pipeline.audit.findings_table import SANITY
from pipeline.audit.sample import Sample, draw
from pipeline.audit.text.numbers import figure
from pipeline.engine.context import Context, load_configured, open_context, open_method
from pipeline.errors import FlowatlasError
from pipeline.nouns import counted
from pipeline.progress import Progress, Show, unseen
from pipeline.store import Run
from pipeline.store.parquet import parquet_bytes

LARGEST = 0.2
"""Rank correlation from which maps of shuffled weights are too much like the true ones."""

SAMPLE = 32
_SEED = 0

SANITY_SCHEMA = pa.schema(
    [
        pa.field("baseline", pa.string(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("rank_correlation", pa.float64()),
        pa.field("box_lift", pa.float64()),
        pa.field("flow_box_lift", pa.float64()),
        pa.field("passed", pa.bool_()),
        pa.field("sentence", pa.string(), nullable=False),
    ]
)
"""``rank_correlation`` is Spearman's between the cells of the accumulated flow and those of the
baseline, the mean over images; ``box_lift`` the mean energy of the baseline inside the objects'
boxes over their area, ``flow_box_lift`` that of the flow. ``passed`` only of shuffled weights."""

Float = NDArray[np.float64]


def check_sanity(
    run: Run, images: int = SAMPLE, threads: int = 1, on_progress: Show = unseen
) -> pa.Table:
    """Compare a sample of a run's flows with its baselines; write ``audit/sanity.parquet``.

    Needs the model and the images; computes ``images`` flows of shuffled weights.

    Raises
    ------
    FlowatlasError
        The model or the images are not at hand.
    """
    with open_context(run.uri, threads=threads) as context:
        sample = draw(context, images)
        if not len(sample.flows):
            raise FlowatlasError(f"no image of {run.uri} can be read now; check its dataset.source")
        grid = run.spec.grid
        maps: Mapping[str, Float] = {
            "shuffled": _shuffled_flows(sample, context, Progress(on_progress)),
            "edges": edges(sample.pixels, grid),
            "centre": np.tile(centre(grid), (len(sample.flows), 1)),
            "random": np.random.default_rng(_SEED).random(sample.flows.shape),
        }
    lift = _lift(sample.flows, sample.cover)
    rows = [_row(name, found, sample, lift) for name, found in maps.items()]
    table = pa.Table.from_pylist(rows, schema=SANITY_SCHEMA)
    run.write(SANITY, parquet_bytes(table))
    return table


def _row(name: str, maps: Float, sample: Sample, flow_lift: float | None) -> dict[str, object]:
    found = rank_correlation(sample.flows, maps)
    known = np.isfinite(found)
    correlation = float(found[known].mean()) if known.any() else None
    lift = _lift(maps, sample.cover)
    boxes = ""
    if lift is not None and flow_lift is not None:
        boxes = f"; inside the objects' boxes it has {figure(lift)} times its share, the flow "
        boxes += f"{figure(flow_lift)} times"
    passed = None
    if name == "shuffled" and correlation is not None:
        passed = abs(correlation) <= LARGEST
    verdict = ""
    if passed is not None:
        verdict = f"; at most {LARGEST} passes"
        verdict += "" if passed else ", so it FAILED: the maps hardly depend on the model"
    shown = "undefined, because the maps are flat" if correlation is None else figure(correlation)
    return {
        "baseline": name,
        "images": len(maps),
        "rank_correlation": correlation,
        "box_lift": lift,
        "flow_box_lift": flow_lift,
        "passed": passed,
        "sentence": f"{BASELINES[name]}: rank correlation with the flow {shown}, over "
        f"{counted(len(maps), 'image')}{verdict}{boxes}.",
    }


def shuffle_weights(model: nn.Module) -> None:
    """Shuffle the entries of every parameter in place: scales stay, what was learnt goes."""
    generator = torch.Generator().manual_seed(_SEED)
    with torch.no_grad():
        for parameter in model.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))


def _shuffled_flows(sample: Sample, context: Context, progress: Progress) -> Float:
    """Return the accumulated flows (n, cells) of the run's method on shuffled weights."""
    config = context.run.config
    loaded = load_configured(config.model)
    shuffle_weights(loaded.model)
    loaded.model.to(context.device)
    found = [np.empty((0, sample.flows.shape[1]))]
    progress.plan(len(sample.pixels))
    with ExitStack() as stack:
        _, flow = open_method(config, loaded, context.references, context.device, stack)
        for lo in range(0, len(sample.pixels), config.flow.batch_size):
            cut = slice(lo, lo + config.flow.batch_size)
            inputs = context.transform.normalise(sample.pixels[cut].to(context.device))
            targets = None if sample.targets is None else sample.targets[cut].to(context.device)
            with context.autocast:
                maps = flow(inputs, targets).maps
            progress.add(len(inputs))
            found.append(maps.sum(1).double().flatten(1).cpu().numpy())
    return np.concatenate(found)


def _lift(maps: Float, cover: Float) -> float | None:
    """Return the mean energy inside the boxes over their area; None without boxes."""
    area, mass = cover.mean(1), maps.sum(1)
    used = (area > 0) & (mass > 0)
    if not used.any():
        return None
    inside = (maps[used] * cover[used]).sum(1) / mass[used]
    return float((inside / area[used]).mean())

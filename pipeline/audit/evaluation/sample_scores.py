"""The scores of a sample: explain it by every method, hide patches, join pairs of images."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.audit.evaluation.faithfulness import deletion_and_insertion
from pipeline.audit.evaluation.maps import (
    OWN,
    UNIFORM,
    baseline_maps,
    batched,
    inputs_of,
    opened,
)
from pipeline.audit.evaluation.metrics import MODEL
from pipeline.audit.evaluation.mosaics import (
    each_uses_its_own,
    left_share,
    partners,
    share_and_win,
    side_by_side,
    with_halves_hidden,
)
from pipeline.audit.evaluation.plan import Plan
from pipeline.audit.evaluation.scoring import (
    add_correlation,
    add_layers,
    add_localisation,
    add_scores,
)
from pipeline.audit.evaluation.tally import Key, Tally
from pipeline.audit.sample import Sample
from pipeline.engine.context import Context
from pipeline.flows.hiding import filling
from pipeline.models import LoadedModel
from pipeline.models.structure.logits import logits_of

ALONE = "flow, layer alone"
"""The run's own map of a single layer, not accumulated."""

Float = NDArray[np.float64]


def occlusion_name(fill: str, fills: tuple[str, ...]) -> str:
    """Return the name of the maps of occlusion with a fill: the first fill's have the plain one."""
    return "occlusion" if fill == fills[0] else f"occlusion, {fill}"


def score(
    plan: Plan,
    sample: Sample,
    hiding: int,
    loaded: LoadedModel,
    context: Context,
    tally: Tally,
) -> dict[str, Float]:
    """Add the scores of a sample to a tally; return the maps (n, cells) by name.

    Of the first ``hiding`` images patches are hidden; the maps of occlusion are NaN for the others.
    """
    grid, size = context.run.spec.grid, context.run.config.flow.batch_size
    inputs, targets = inputs_of(sample, context)
    maps = {OWN: sample.flows}
    for name in plan.methods:
        with opened(name, loaded, context) as explain:
            maps[name] = batched(explain, inputs, targets, size)
    maps |= baseline_maps(sample, grid)
    references: dict[str, Float] = {}
    if hiding:
        few, wanted = inputs[:hiding], targets[:hiding]
        for fill in plan.fills:
            own = np.full(sample.flows.shape, np.nan)
            options = {"grid": list(grid), "fill": fill}
            with opened("occlusion", loaded, context, options) as explain:
                own[:hiding] = batched(explain, few, wanted, size)
            references[fill] = maps[occlusion_name(fill, plan.fills)] = own
        for fill in plan.fills:
            name = occlusion_name(fill, plan.fills)
            add_correlation(tally, maps, name, fill, sample.labels)
            _add_curves(plan, tally, maps, sample, fill, (few, wanted), loaded.model, context)
    for name, own in maps.items():
        add_localisation(tally, name, own, sample, grid, plan.tolerance)
    layers = own_layers(context, sample)
    if layers.shape[1] > 1:
        names = (OWN, ALONE)
        add_layers(tally, layers, names, sample, grid, plan.tolerance, references)
    _add_pairs(plan, tally, (inputs, targets), loaded, context)
    return maps


def own_layers(context: Context, sample: Sample) -> Float:
    """Return the run's own maps of a sample, (n, L, cells)."""
    parts = [context.run.read_maps(row, row + 1)[0] for row in sample.rows.tolist()]
    return np.stack(parts).astype(np.float64).reshape(len(parts), len(parts[0]), -1)


def _add_curves(
    plan: Plan,
    tally: Tally,
    maps: Mapping[str, Float],
    sample: Sample,
    fill: str,
    batch: tuple[Tensor, Tensor],
    model: nn.Module,
    context: Context,
) -> None:
    """Add deletion and insertion of the images of ``batch``, the first of the sample."""
    inputs, targets = batch
    grid, size = context.run.spec.grid, context.run.config.flow.batch_size
    names = [name for name in maps if name != UNIFORM]  # it has no order
    found = np.empty((len(names), 2, len(inputs)))
    with torch.no_grad(), context.autocast:
        filled = filling(inputs, grid, fill)
        for place, target in enumerate(targets.tolist()):
            curves = deletion_and_insertion(
                inputs[place],
                filled[place],
                {name: maps[name][place] for name in names},
                grid,
                partial(_probability, target, model, context.independent),
                plan.steps,
                size,
            )
            found[:, :, place] = [curves[name] for name in names]
    labels = sample.labels[: len(inputs)]
    for name, own in zip(names, found, strict=True):
        for metric, values in zip(("deletion", "insertion"), own, strict=True):
            add_scores(tally, Key(name, metric, fill), values, labels)


def _probability(target: int, model: nn.Module, independent: bool, images: Tensor) -> Tensor:
    logits = logits_of(model(images), model).float()
    return (logits.sigmoid() if independent else logits.softmax(dim=1))[:, target]


def _add_pairs(
    plan: Plan,
    tally: Tally,
    batch: tuple[Tensor, Tensor],
    loaded: LoadedModel,
    context: Context,
) -> None:
    """Add the share and win rate of maps of two images in one, where each half is used."""
    if context.references is not None or context.run.spec.multi_label:
        return  # an image has no class of its own there
    inputs, targets = batch
    grid, size = context.run.spec.grid, context.run.config.flow.batch_size
    pairs = partners(targets.tolist())
    if not pairs:
        return
    mosaics = side_by_side(inputs, targets, pairs)
    changed = (mosaics.images, *with_halves_hidden(mosaics.images, grid, plan.fills[0]))
    with torch.no_grad(), context.autocast:
        logits = [
            _logits(loaded.model, images, size).gather(1, mosaics.targets) for images in changed
        ]
    used = each_uses_its_own(*logits)
    tally.score(Key(MODEL, "pairs_used"), used.double().cpu().numpy())
    if not used.any():
        return
    images, classes = mosaics.images[used], mosaics.targets[used]
    for name in (OWN, *plan.methods):
        with opened(name, loaded, context) as explain:
            shares = [
                left_share(
                    batched(explain, images, classes[:, half].contiguous(), size),
                    grid,
                    images.shape[-1],
                )
                for half in (0, 1)
            ]
        for metric, values in zip(("pair_share", "pair_win"), share_and_win(*shares), strict=True):
            tally.score(Key(name, metric), values)


def _logits(model: nn.Module, images: Tensor, size: int) -> Tensor:
    return torch.cat([logits_of(model(part), model).float() for part in torch.split(images, size)])

"""``evaluate``: maps of a run's model compared with what hiding each patch does to its answer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.audit.compare.shared_images import rank_correlation
from pipeline.audit.evaluation.faithfulness import deletion_and_insertion
from pipeline.audit.evaluation.localisation import auc, lift, rank_accuracy
from pipeline.audit.evaluation.maps import METHODS, baseline_maps, batches, method_maps
from pipeline.audit.evaluation.scores import EVALUATION_SCHEMA, Score, scores
from pipeline.audit.sample import Sample, draw
from pipeline.engine.context import Context, load_configured, open_context
from pipeline.errors import FlowatlasError
from pipeline.flows.hiding import filling
from pipeline.measures.boxes import hit
from pipeline.models.structure.logits import logits_of
from pipeline.store import Run
from pipeline.store.parquet import parquet_bytes

EVALUATION = "audit/evaluation.parquet"

OWN = "flow"
"""The name of the run's own maps, as it stored them."""

Float = NDArray[np.float64]
Report = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What to evaluate: ``images`` drawn by lot, ``methods``, ``steps`` of deletion, the ``fill``.

    The first fill is also that of the occlusion that maps are compared with.
    """

    images: int = 32
    methods: Sequence[str] = METHODS
    steps: int = 14
    fill: str = "mean"


def evaluate(run: Run, options: Options, report: Report, threads: int = 1) -> pa.Table:
    """Score the run's maps, those of other methods, and baselines; write ``evaluation.parquet``.

    Needs the model and the images. ``report`` is called with a sentence for every step.

    Raises
    ------
    FlowatlasError
        The model or the images are not available, or the model has no classes.
    """
    with open_context(run.uri, threads=threads) as context:
        sample = draw(context, options.images)
        if not len(sample.flows):
            raise FlowatlasError(f"no image of {run.uri} can be read now; check its dataset.source")
        if sample.targets is None:
            raise FlowatlasError(
                f"{run.uri} explains no class, so no logit falls when a patch is hidden"
            )
        maps = _maps(sample, options, context, report)
        found = _scored(sample, maps, options, context)
    table = pa.Table.from_pylist([score.row() for score in found], schema=EVALUATION_SCHEMA)
    run.write(EVALUATION, parquet_bytes(table))
    return table


def _maps(sample: Sample, options: Options, context: Context, report: Report) -> dict[str, Float]:
    """Return the maps (n, cells) by name; the occlusion comes first."""
    grid, spec = list(context.run.spec.grid), context.run.spec
    passes = len(sample.pixels) * spec.grid[0] * spec.grid[1]
    report(f"occlusion: {passes:,} forward passes for {len(sample.pixels)} images")
    reference = method_maps("occlusion", {"grid": grid, "fill": options.fill}, sample, context)
    if isinstance(reference, str):
        raise FlowatlasError(reference)
    maps = {"occlusion": reference, OWN: sample.flows}
    for name in options.methods:
        if name == context.run.config.flow.method:
            continue  # the run has its maps
        found = method_maps(name, {}, sample, context)
        if isinstance(found, str):
            report(f"{name} is left out: {found}")
        else:
            report(f"{name}: done")
            maps[name] = found
    return maps | baseline_maps(sample, spec.grid)


def _scored(
    sample: Sample, maps: dict[str, Float], options: Options, context: Context
) -> list[Score]:
    grid, boxed = context.run.spec.grid, sample.cover.any(axis=1)
    curves = _curves(sample, maps, options, context)
    found: list[Score] = []
    for name, own in maps.items():
        values: dict[str, Float] = {
            "deletion": curves[name][:, 0],
            "insertion": curves[name][:, 1],
        }
        if name != "occlusion":
            values["rank_correlation"] = rank_correlation(own, maps["occlusion"])
        if boxed.any():
            pairs = list(zip(own, sample.cover, strict=True))
            values |= {
                "lift": np.array([lift(*pair) for pair in pairs]),
                "rank_accuracy": np.array([rank_accuracy(*pair) for pair in pairs]),
                "auc": np.array([auc(*pair) for pair in pairs]),
                "pointing": np.where(boxed, _pointing(own, sample.boxes, grid), np.nan),
            }
        found += scores(name, values, sample.labels)
    return found


def _pointing(maps: Float, boxes: Tensor, grid: tuple[int, int]) -> Float:
    return hit(torch.from_numpy(maps), boxes.double(), grid).double().numpy()


def _curves(
    sample: Sample, maps: dict[str, Float], options: Options, context: Context
) -> dict[str, Float]:
    """Return deletion and insertion (n, 2) of every map, on a model of their own without hooks."""
    model = load_configured(context.run.config.model).model.to(context.device)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in maps}
    grid = context.run.spec.grid
    with torch.no_grad(), context.autocast:
        for first, (inputs, targets) in _numbered(sample, context):
            fills = filling(inputs, grid, options.fill)
            for place, target in enumerate(targets.tolist()):
                probability = partial(_probability, target, model, context.independent)
                for name, own in maps.items():
                    pair = deletion_and_insertion(
                        inputs[place],
                        fills[place],
                        own[first + place],
                        grid,
                        probability,
                        options.steps,
                    )
                    found[name].append(pair)
    return {name: np.array(pairs) for name, pairs in found.items()}


def _numbered(sample: Sample, context: Context) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
    """Yield batches with the number of their first image."""
    first = 0
    for inputs, targets in batches(sample, context):
        assert targets is not None  # checked before anything is computed
        yield first, (inputs, targets)
        first += len(inputs)


def _probability(target: int, model: nn.Module, independent: bool, images: Tensor) -> Tensor:
    logits = logits_of(model(images), model).float()
    return (logits.sigmoid() if independent else logits.softmax(dim=1))[:, target]

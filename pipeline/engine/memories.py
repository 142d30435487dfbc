"""Memory pairs of a configuration's model, with the names of its classes."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import RunConfig
from pipeline.engine.context import load_configured
from pipeline.flows.memories import Memories, memory_pairs
from pipeline.measures.columns import layer_column
from pipeline.models import class_names, own_outputs
from pipeline.models.outputs.output_names import IMAGENET_1K
from pipeline.store import Run

READOUT, PATCHES = "readout_rank", "patch_rank"
"""The columns of identifiability: what the classifier reads, and the mean of the patches."""


def memories_of(config: RunConfig) -> tuple[tuple[str, ...], tuple[Memories, ...]]:
    """Return the names of the classes and the memories of every layer.

    Raises
    ------
    ConfigError, UnsupportedModel
        The model cannot be built or loaded, or has no such memories; see
        :func:`pipeline.flows.memories.memory_pairs`.
    """
    loaded = load_configured(config.model)
    layers = memory_pairs(loaded.model)
    count = len(layers[0].best)
    if config.dataset.classes == IMAGENET_1K:
        return tuple(class_names(IMAGENET_1K, count)), layers
    known = own_outputs(loaded.model, config.model.name, count).names
    return tuple(known or (f"class {number}" for number in range(count))), layers


def memories_table(names: Sequence[str], layers: Sequence[Memories]) -> pa.Table:
    """Return a row for every layer and class.

    Columns are those of :class:`pipeline.flows.memories.Memories`, with ``class`` and ``name``.
    """
    count = len(names)
    return pa.table(
        {
            "layer": [layer.layer for layer in layers for _ in range(count)],
            "class": pa.array([number for _ in layers for number in range(count)], pa.int32()),
            "name": [name for _ in layers for name in names],
            "value": pa.array([v for layer in layers for v in layer.best.tolist()], pa.int32()),
            "strength": [v for layer in layers for v in layer.strength.tolist()],
            "rank": pa.array([v for layer in layers for v in layer.rank.tolist()], pa.int32()),
            "matched": [v for layer in layers for v in layer.matched.tolist()],
        }
    )


def identifiability_of(run: Run) -> dict[str, dict[str, float]]:
    """Return of a run of ``method: projection`` the mean identifiability by layer and column.

    Means over its usable images. Empty for a run of another method or one that is not finished;
    a run of an earlier version has no column of patches.
    """
    known = {column.name for column in run.spec.columns}
    if layer_column(READOUT, 0) not in known or not run.finished:
        return {}
    wanted = [
        (name, column, layer_column(column, number))
        for number, name in enumerate(run.spec.layers)
        for column in (READOUT, PATCHES)
        if layer_column(column, number) in known
    ]
    table = run.summary().to_table(columns=[name for _, _, name in wanted])
    found: dict[str, dict[str, float]] = {}
    for layer, column, name in wanted:
        values = table[name].drop_null()
        mean = pc.mean(values.filter(pc.is_finite(values))).as_py()
        if mean is not None:
            found.setdefault(layer, {})[column] = mean
    return found

"""One unit of an evaluation: read images, explain them by every method, score, store."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.audit.evaluation.maps import OWN, batched, inputs_of, opened
from pipeline.audit.evaluation.plan import Plan
from pipeline.audit.evaluation.sample_scores import score
from pipeline.audit.evaluation.scoring import add_scores, correlation
from pipeline.audit.evaluation.tally import Key, Tally
from pipeline.audit.sample import Sample, load
from pipeline.audit.sanity import shuffle_weights
from pipeline.engine import Attempt
from pipeline.engine.context import Context, load_configured, open_context
from pipeline.store import Unit
from pipeline.store.parquet import parquet_bytes

TALLY, MAPS = "tally", "maps"
"""Kinds of objects of a unit; the tally is written last."""

MAPS_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("map", pa.string(), nullable=False),
        pa.field("cells", pa.list_(pa.float32()), nullable=False),
    ]
)

UNREAD = Key("", "unread")
"""Images of a unit that could not be read; such a unit is computed again next time."""

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """What a unit gives: its tally, and the accumulated maps of its images."""

    unit: Unit
    tally: Tally
    maps: pa.Table


class EvaluationWorker:
    """Turns units of a plan into stored tallies; see :class:`pipeline.engine.Worker`."""

    def __init__(self, plan: Plan, context: Context) -> None:
        self._plan, self._context = plan, context
        model = context.run.config.model
        self._loaded, self._shuffled = load_configured(model), load_configured(model)
        shuffle_weights(self._shuffled.model)
        for loaded in (self._loaded, self._shuffled):
            loaded.model.to(context.device)

    def read(self, attempt: Attempt) -> tuple[Unit, Sample]:
        """Read the images of a unit, with the run's own maps."""
        return attempt.unit, load(self._context, self._plan.rows_of(attempt.unit))

    def compute(self, reading: tuple[Unit, Sample]) -> Scored:
        """Explain and score."""
        unit, sample = reading
        tally = Tally()
        unread = len(unit) - len(sample.rows)
        if unread:
            tally.add(UNREAD, np.array([unread], np.int64))
        maps: dict[str, Float] = {}
        if len(sample.rows):
            hiding = int(np.isin(sample.rows, self._hidden_rows(unit)).sum())
            maps = score(self._plan, sample, hiding, self._loaded, self._context, tally)
            self._add_randomised(tally, sample, maps)
        return Scored(unit, tally, _maps_table(sample, maps))

    def _hidden_rows(self, unit: Unit) -> list[int]:
        return list(self._plan.rows_of(unit))[: self._plan.hiding_of(unit)]

    def _add_randomised(self, tally: Tally, sample: Sample, maps: Mapping[str, Float]) -> None:
        """Add how alike the maps of every method are to those of shuffled weights."""
        inputs, targets = inputs_of(sample, self._context)
        size = self._context.run.config.flow.batch_size
        for name in (OWN, *self._plan.methods):
            with opened(name, self._shuffled, self._context) as explain:
                shuffled = batched(explain, inputs, targets, size)
            found = correlation(maps[name], shuffled)
            add_scores(tally, Key(name, "randomised"), found, sample.labels)

    def commit(self, computed: Scored) -> Unit:
        """Store the maps, then the tally: a unit is done if this is there."""
        run, unit = self._context.run, computed.unit
        for kind, table in ((MAPS, computed.maps), (TALLY, computed.tally.table())):
            run.write(self._plan.path(run, unit, kind), parquet_bytes(table))
        return unit


@contextmanager
def open_evaluation(uri: str, threads: int, *, plan: Plan) -> Iterator[EvaluationWorker]:
    """Open a worker of a plan on the run at ``uri``."""
    with open_context(uri, threads=threads) as context:
        yield EvaluationWorker(plan, context)


def _maps_table(sample: Sample, maps: Mapping[str, Float]) -> pa.Table:
    rows = [
        {"row": row, "map": name, "cells": own[place].astype(np.float32).tolist()}
        for place, row in enumerate(sample.rows.tolist())
        for name, own in maps.items()
        if np.isfinite(own[place]).all()
    ]
    return pa.Table.from_pylist(rows, schema=MAPS_SCHEMA)

"""``explain_pairs``: which patches make two images similar, for all pairs of a table."""

from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import torch

from pipeline.audit.kept_units import compute_missing
from pipeline.audit.pairs.choice import NEAREST, listed_pairs, name_of, nearest_pairs
from pipeline.audit.pairs.plan import Plan
from pipeline.audit.pairs.schema import PAIRS_SCHEMA
from pipeline.audit.pairs.worker import attribution, open_pairs
from pipeline.engine import Engine, Job
from pipeline.engine.context import open_context
from pipeline.flows.pair_attribution import PairSimilarity
from pipeline.nouns import part_of
from pipeline.progress import Show, unseen
from pipeline.store import Run, Unit
from pipeline.store.parquet import parquet_bytes

ATTEMPTS = 3


@dataclass(frozen=True)
class Options:
    """How pairs are explained; see :class:`pipeline.audit.pairs.plan.Plan`.

    ``layer`` None is the method's choice; ``images`` is the number of queries that are drawn where
    there is no table of pairs.
    """

    layer: str | None = None
    similarity: PairSimilarity = "cosine"
    strongest: int = 16
    tolerance: float = 0.01
    most_steps: int = 108
    images: int = 24


def explain_pairs(
    run: Run,
    table: str | None,
    engine: Engine,
    options: Options,
    on_progress: Show = unseen,
) -> tuple[Plan, pa.Table]:
    """Explain the pairs of a table, or without one nearest neighbours; write ``audit/pairs/…``.

    Units of pairs are computed by the engine and kept, so that what was interrupted continues and
    a longer table computes what it adds. The result has the same bytes for any engine, order and
    number of workers. ``on_progress`` is called with the units that are done and all.

    Raises
    ------
    DatasetError, ConfigError
        The table or the layer does not fit the run.
    UnsupportedModel
        The model has no embedding, or no places of the image at the layer.
    """
    plan = plan_pairs(run, table, options)
    job = Job(run.uri, ATTEMPTS, partial(open_pairs, plan=plan))
    compute_missing(engine, job, plan.units, lambda unit: _kept(run, plan, unit), on_progress)
    found = pa.concat_tables(run.table(plan.unit_path(run, unit)) for unit in plan.units)
    run.write(plan.path, parquet_bytes(found))
    return plan, found


def plan_pairs(run: Run, table: str | None, options: Options) -> Plan:
    """Find the pairs, and try the method on a blank image, before a worker starts."""
    pairs = nearest_pairs(run, options.images) if table is None else listed_pairs(run, table)
    plan = Plan(
        name=NEAREST if table is None else name_of(table),
        pairs=pairs,
        layer=options.layer or "",
        similarity=options.similarity,
        strongest=options.strongest,
        tolerance=options.tolerance,
        most_steps=options.most_steps,
    )
    height, width = run.spec.input["size"]
    with open_context(run.uri, threads=1) as context, attribution(context, plan) as method:
        method.encode(torch.zeros(3, height, width, device=context.device))
        return replace(plan, layer=method.layer)


def summary(table: pa.Table, plan: Plan) -> list[str]:
    """Return what a table of explained pairs says in short."""
    rows = table.num_rows
    fine = table.filter(pc.is_null(table["reason"]))
    lines = [f"{part_of(fine.num_rows, rows, 'pair')} explained at {plan.layer}"]
    if fine.num_rows:
        complete = int(pc.sum(fine["complete"]).as_py())
        worst = pc.max(fine["error"]).as_py()
        lines.append(
            f"complete to {plan.tolerance:.1%} of the similarity: "
            f"{part_of(complete, fine.num_rows, 'pair')}, the largest error is {worst:.2%}; "
            f"steps {pc.min(fine['steps']).as_py()} to {pc.max(fine['steps']).as_py()}"
        )
    reasons = table["reason"].drop_null().value_counts().to_pylist()
    lines += [f"{item['counts']} not explained: {item['values']}" for item in reasons]
    return lines


def _kept(run: Run, plan: Plan, unit: Unit) -> bool:
    """Return whether a unit was computed, from all of its images."""
    path = plan.unit_path(run, unit)
    if not run.exists(path):
        return False
    table = run.table(path)
    return bool(table.schema.equals(PAIRS_SCHEMA)) and table["reason"].null_count == len(table)

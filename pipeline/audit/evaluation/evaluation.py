"""``evaluate``: which maps can be trusted, for these classes, on this model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from pipeline.audit.evaluation.images import IMAGES, images_table
from pipeline.audit.evaluation.maps import METHODS, fitting
from pipeline.audit.evaluation.peers import check_peers
from pipeline.audit.evaluation.plan import Plan
from pipeline.audit.evaluation.scores import scores_table
from pipeline.audit.evaluation.tally import TALLY_SCHEMA, Tally
from pipeline.audit.evaluation.worker import MAPS, TALLY, UNREAD, open_evaluation
from pipeline.audit.findings_table import EVALUATION
from pipeline.audit.kept_units import compute_missing
from pipeline.audit.sample import drawn_rows, load
from pipeline.engine import Engine, Job
from pipeline.engine.context import Context, load_configured, open_context
from pipeline.errors import FlowatlasError
from pipeline.measures.boxes import TOLERANCE
from pipeline.nouns import counted, part_of
from pipeline.progress import Show, unseen
from pipeline.store import Run, Unit
from pipeline.store.parquet import parquet_bytes

ATTEMPTS = 3

Report = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What to evaluate.

    ``images`` are drawn at random; of the first ``hiding`` of them (None: all) patches are hidden,
    in ``steps`` and with each of ``fills``. ``methods`` are compared with the run's own maps. The
    pointing game allows a ``tolerance``, in fractions of the input.
    """

    images: int = 64
    hiding: int | None = None
    methods: Sequence[str] = METHODS
    steps: int = 14
    fills: Sequence[str] = ("mean",)
    tolerance: float = TOLERANCE


def evaluate(
    run: Run,
    engine: Engine,
    options: Options,
    report: Report = lambda sentence: None,
    on_progress: Show = unseen,
) -> pa.Table:
    """Score the run's maps, those of other methods, and baselines; write ``evaluation.parquet``.

    Units of images are computed by the engine and kept, so that an evaluation that was interrupted,
    or is repeated with more images, computes only what is missing. What they add up to has the same
    bits for any engine, order and number of workers. ``report`` is called with a sentence on what
    is left out, ``on_progress`` with the number of units that are done and of all.

    Raises
    ------
    ConfigError
        There is no such peer, or it is not installed.
    FlowatlasError
        The model or the images are not available, or the model has no classes.
    """
    plan = _plan(run, options, report)
    job = Job(run.uri, ATTEMPTS, partial(open_evaluation, plan=plan))
    compute_missing(engine, job, plan.units, lambda unit: _kept(run, plan, unit), on_progress)
    tally = Tally.merged(Tally.of(run.table(plan.path(run, unit, TALLY))) for unit in plan.units)
    unread = tally.sums.pop(UNREAD, None)
    if unread is not None:
        gone = part_of(int(unread[0]), len(plan.rows), "image")
        report(f"{gone} cannot be read now: left out")
    table = scores_table(tally)
    parts = [run.table(plan.path(run, unit, MAPS)) for unit in plan.units]
    run.write(IMAGES, parquet_bytes(images_table(pa.concat_tables(parts))))
    run.write(EVALUATION, parquet_bytes(table))
    return table


def _plan(run: Run, options: Options, report: Report) -> Plan:
    """Find out what can be evaluated, before a worker starts."""
    check_peers(tuple(options.methods))
    rows = drawn_rows(run, options.images)
    with open_context(run.uri, threads=1) as context:
        _check_images(run, rows, context)
        loaded = load_configured(run.config.model)
        loaded.model.to(context.device)
        others = [name for name in options.methods if name != run.config.flow.method]
        methods, why = fitting(others, loaded, context)
        needed, impossible = fitting(["occlusion"], loaded, context)
    for name, reason in why.items():
        report(f"{name} is left out: {reason}")
    if not needed:
        raise FlowatlasError(impossible["occlusion"])
    hiding = len(rows) if options.hiding is None else min(options.hiding, len(rows))
    cells = run.spec.grid[0] * run.spec.grid[1]
    if hiding:
        passes = counted(hiding * cells * len(options.fills), "forward pass")
        report(f"occlusion: {passes} for {counted(hiding, 'image')}")
    return Plan(
        rows=tuple(rows),
        hiding=hiding,
        methods=tuple(methods),
        fills=tuple(options.fills),
        steps=options.steps,
        tolerance=options.tolerance,
    )


def _check_images(run: Run, rows: Sequence[int], context: Context) -> None:
    """Raise FlowatlasError unless an image can be read, and explains a class."""
    for row in rows:
        sample = load(context, [row])
        if len(sample.rows):
            if sample.targets is None:
                raise FlowatlasError(
                    f"{run.uri} explains no class, so no logit falls when a patch is hidden"
                )
            return
    raise FlowatlasError(f"no image of {run.uri} can be read now; check its dataset.source")


def _kept(run: Run, plan: Plan, unit: Unit) -> bool:
    """Return whether a unit was computed, from all of its images."""
    path = plan.path(run, unit, TALLY)
    if not (run.exists(path) and run.exists(plan.path(run, unit, MAPS))):
        return False
    table = run.table(path)
    return table.schema.equals(TALLY_SCHEMA) and UNREAD not in Tally.of(table).sums

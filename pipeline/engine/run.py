"""From a configuration to a finished run: prepare, compute what is missing, finalise."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial

from obstore.store import ObjectStore

from pipeline.config import ReadersKind, RunConfig
from pipeline.engine.preparation import prepare
from pipeline.engine.scheduling.failure import Failure, warn
from pipeline.engine.scheduling.interface import Engine, Job, Worker
from pipeline.engine.scheduling.opening import opening
from pipeline.errors import FlowatlasError
from pipeline.store import (
    Receipt,
    RunLock,
    RunSpec,
    Totals,
    create_run,
    finalize,
    open_store,
    reopen,
    store_full_errors,
    valid_receipts,
)
from pipeline.store.layout import SUCCESS
from pipeline.store.logs import Logs
from pipeline.store.objects import exists

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Started:
    """Reported once when computing begins: the run, what is already done, and the workers.

    ``workers`` (each of ``threads`` CPU threads) is how many there are now, ``wanted`` how many the
    configuration asks the cluster for; more may join later. There is room for ``room`` more, and a
    worker may have up to ``cpus`` threads (0: not known).
    """

    spec: RunSpec
    rows_done: int
    units_todo: int
    workers: int
    wanted: int
    threads: int
    notes: tuple[str, ...] = ()
    """What was assumed about the model, in sentences."""
    labels: str = "no labels"
    """How the dataset's classes were assigned to the model's outputs, in a sentence."""
    room: int = 0
    cpus: int = 0


def run_flows(
    config: RunConfig,
    *,
    on_start: Callable[[Started], None] = lambda started: None,
    on_receipt: Callable[[Receipt], None] = lambda receipt: None,
    on_failure: Callable[[Failure], None] = warn,
    engine: Engine | None = None,
) -> Totals:
    """Compute a run, or what is missing of it; the result does not depend on interruptions.

    Parameters
    ----------
    config : RunConfig
    on_start, on_receipt
        Called before the first unit and after every unit.
    on_failure
        Called for every failed attempt, lost worker and lost node, including those that are tried
        again; the traceback is in the run's ``logs/``.
    engine : Engine, optional
        An open engine to use; by default the one ``config.cluster`` names.

    Raises
    ------
    FlowatlasError
        With the next step in its message.
    """
    with opening(partial(open_engine, config)) as ahead:
        begin = None if engine or _marked_finished(config) else ahead.begin
        prepared = prepare(config, begin)
        spec = prepared.spec
        labels = prepared.labelling.sentence(prepared.index)
        store = open_store(config.run, create=True)
        with store_full_errors(), RunLock(store) as lock:
            create_run(store, spec, prepared.parts)
            if prepared.parts is not None:
                prepared.parts.discard()
            done = valid_receipts(store, spec)
            todo = [unit for unit in spec.units if unit.id not in done]
            _log.info("%d of %d units are done", len(done), len(spec.units))
            rows_done = sum(receipt.hi - receipt.lo for receipt in done.values())
            started = Started(
                spec, rows_done, len(todo), 0, 0, 0, notes=prepared.notes, labels=labels
            )
            if todo:
                reopen(store)
                chosen = engine or ahead.engine()
                on_start(_with_workers(started, chosen))
                opener = partial(_open_flows, readers=config.cluster.readers)
                job = Job(config.run, config.limits.attempts, opener)
                for receipt in chosen.run(job, todo, _logged(store, on_failure)):
                    on_receipt(receipt)
                    lock.check()
            else:
                on_start(started)
            return finalize(store, spec, quarantine_limit=config.limits.quarantine)


def _open_flows(
    uri: str, threads: int, readers: ReadersKind
) -> AbstractContextManager[Worker[Receipt]]:
    """Open a worker. Torch is imported where it works, which need not be here."""
    from pipeline.engine.worker import open_flows

    return open_flows(uri, threads, readers)


def _with_workers(started: Started, engine: Engine) -> Started:
    return replace(
        started,
        workers=engine.workers,
        wanted=min(engine.wanted, started.units_todo),
        threads=engine.threads,
        room=engine.room,
        cpus=engine.cpus,
    )


def _marked_finished(config: RunConfig) -> bool:
    """Return whether the run was finished once, so that there is probably nothing to compute."""
    with suppress(FlowatlasError):  # there is no run yet
        return exists(open_store(config.run), SUCCESS)
    return False


def _logged(store: ObjectStore, on_failure: Callable[[Failure], None]) -> Callable[[Failure], None]:
    """Return a callback that stores a failure's traceback in the run, then calls ``on_failure``."""
    logs = Logs(store)

    def log(failure: Failure) -> None:
        _log.debug("%s\n%s", failure.sentence, failure.traceback)
        units = "".join(f"-unit{unit.id:08d}" for unit in failure.units[:1])
        text = f"{failure.sentence}\n\n{failure.traceback}"
        on_failure(replace(failure, log=logs.add(f"{failure.kind}{units}", text)))

    return log


def open_engine(config: RunConfig, *, ahead: bool = True) -> AbstractContextManager[Engine]:
    """Open the engine that ``config.cluster`` names; ``ahead``: actors start before their job."""
    if config.cluster.engine == "local":
        from pipeline.engine.scheduling.local import LocalEngine

        cpus = config.cluster.cpus_per_actor
        return nullcontext(LocalEngine(threads=1 if cpus == "auto" else cpus))
    from pipeline.engine.ray import RayEngine

    return RayEngine(config.cluster, imports=("pipeline.engine.worker",) if ahead else ())

"""From a configuration to a finished run: index, plan, compute what is missing, finalise."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass

import timm
import torch

import pipeline
from pipeline.config import RunConfig
from pipeline.engine.class_names import class_names_of
from pipeline.engine.context import load_configured
from pipeline.engine.planning.plan import bytes_per_image, choose_unit_rows
from pipeline.engine.probe import Probe, check_target, probe
from pipeline.engine.reference_run import check_references, load_references, reference_run
from pipeline.engine.scheduling.interface import Engine, Job
from pipeline.engine.scheduling.local import LocalEngine
from pipeline.engine.worker import open_flows
from pipeline.images import Index, InputTransform, Source, build_index, open_source
from pipeline.measures import PIXEL_COLUMNS, columns
from pipeline.models import LoadedModel
from pipeline.store import (
    Column,
    Receipt,
    Run,
    RunLock,
    RunSpec,
    Spool,
    Totals,
    create_run,
    finalize,
    is_run,
    open_store,
    reopen,
    stored_scan,
    telling_when_full,
    valid_receipts,
)


@dataclass(frozen=True)
class Prepared:
    """A run that can start: what it is, and what the scan of its dataset found."""

    spec: RunSpec
    index: Index
    parts: Spool | None
    """What the scan wrote; None where the run holds it already and nothing has changed."""


def prepare(config: RunConfig) -> Prepared:
    """Read the dataset's index and try the method on the model, on this machine's CPU.

    Every error of the configuration, the dataset or the model shows here, before any worker or
    GPU is asked for.

    Raises
    ------
    ConfigError, DatasetError, UnsupportedModel
    """
    source = open_source(config.dataset)
    index, parts = _index(config, source)
    loaded = load_configured(config.model)
    transform = InputTransform.from_dict(_input(config, loaded))
    compared = reference_run(config)
    tried = _try(config, source, loaded, transform, compared)
    names = class_names_of(config, source, index, tried, compared)
    check_target(config, index, tried, names)
    both = config.flow.target == "both"
    measured = columns(len(tried.layers), bool(index.boxes), tried.extras, both)
    image_bytes = bytes_per_image(
        len(tried.layers), tried.grid, config.flow.store, flows=1 + both, channels=tried.channels
    )
    unit_rows = config.unit_rows or choose_unit_rows(index.rows, image_bytes)
    spec = RunSpec(
        config=config.identity(),
        config_hash=config.hash(),
        code_version=(
            f"flowatlas {pipeline.__version__}, torch {torch.__version__}, timm {timm.__version__}"
        ),
        weights_sha256=loaded.weights_sha256,
        fingerprint=index.fingerprint,
        root=source.root,
        rows=index.rows,
        unit_rows=unit_rows,
        layers=tried.layers,
        grid=tried.grid,
        input=transform.to_dict(),
        classes=names,
        columns=tuple(Column(name, kind) for name, kind in (measured | PIXEL_COLUMNS).items()),
        dtype=config.flow.store,
        label_maps=both,
        channels=tried.channels,
        references=None if compared is None else compared.spec.hash,
    )
    return Prepared(spec, index, parts)


def _index(config: RunConfig, source: Source) -> tuple[Index, Spool | None]:
    """Return the index the run has if its dataset's listing is the same, else a new scan."""
    listing = source.listing()
    if listing is not None and is_run(config.run):
        known = stored_scan(open_store(config.run))
        if known and known.get("listing") == listing:
            with suppress(KeyError, TypeError):  # another version's
                return Index(**known["index"]), None
    parts = Spool()
    index = build_index(source, parts.add)
    parts.finish({"listing": listing, "index": asdict(index)})
    return index, parts


def _input(config: RunConfig, loaded: LoadedModel) -> dict[str, object]:
    """Return the model's own transform with the configuration's overrides."""
    overrides = config.model.input.model_dump(exclude_none=True, mode="json")
    return {**loaded.input, **overrides}


def _try(
    config: RunConfig,
    source: Source,
    loaded: LoadedModel,
    transform: InputTransform,
    compared: Run | None,
) -> Probe:
    """Try the method on the model, with the references it will really have."""
    references, asked = None, config.flow.references
    if compared is not None and asked is not None:
        check_references(config, compared, loaded.weights_sha256, transform.to_dict())
        references = load_references(compared, asked, source.root)
    return probe(config, loaded, transform.size, references)


@dataclass(frozen=True)
class Started:
    """Told once when computing begins: all rows, how many are done from earlier, and by whom.

    ``workers`` (each of ``threads`` CPU threads) is how many there are now, ``wanted`` how many the
    configuration asks the cluster for; more may join.
    """

    spec: RunSpec
    rows_done: int
    units_todo: int
    workers: int
    wanted: int
    threads: int


def run_flows(
    config: RunConfig,
    *,
    on_start: Callable[[Started], None] = lambda started: None,
    on_receipt: Callable[[Receipt], None] = lambda receipt: None,
    engine: Engine | None = None,
) -> Totals:
    """Compute a run, or what is missing of it; the result does not depend on interruptions.

    Parameters
    ----------
    config : RunConfig
    on_start, on_receipt
        Called before the first unit and after every unit.
    engine : Engine, optional
        An open engine to use; by default the one ``config.cluster`` names.

    Raises
    ------
    FlowatlasError
        With the next step in its message.
    """
    prepared = prepare(config)
    spec = prepared.spec
    store = open_store(config.run, create=True)
    with telling_when_full(), RunLock(store) as lock:
        create_run(store, spec, prepared.parts)
        if prepared.parts is not None:
            prepared.parts.discard()
        done = valid_receipts(store, spec)
        todo = [unit for unit in spec.units if unit.id not in done]
        rows_done = sum(receipt.hi - receipt.lo for receipt in done.values())
        if todo:
            reopen(store)
            with nullcontext(engine) if engine else open_engine(config) as chosen:
                has, wanted = chosen.workers, min(chosen.wanted, len(todo))
                on_start(Started(spec, rows_done, len(todo), has, wanted, chosen.threads))
                job = Job(config.run, config.limits.attempts, open_flows)
                for receipt in chosen.run(job, todo):
                    on_receipt(receipt)
                    lock.check()
        else:
            on_start(Started(spec, rows_done, 0, 0, 0, 0))
        return finalize(store, spec, quarantine_limit=config.limits.quarantine)


def open_engine(config: RunConfig) -> AbstractContextManager[Engine]:
    """Open the engine that ``config.cluster`` names."""
    if config.cluster.engine == "local":
        cpus = config.cluster.cpus_per_actor
        return nullcontext(LocalEngine(threads=1 if cpus == "auto" else cpus))
    from pipeline.engine.ray import RayEngine

    return RayEngine(config.cluster)

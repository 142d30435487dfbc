"""From a configuration to a finished run: index, plan, compute what is missing, finalise."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass

import timm
import torch

import pipeline
from pipeline.config import RunConfig
from pipeline.engine.engine import Engine, Job
from pipeline.engine.local import LocalEngine
from pipeline.engine.plan import bytes_per_image, choose_unit_rows
from pipeline.engine.unit import open_flows
from pipeline.errors import ConfigError
from pipeline.flows import create_flow
from pipeline.images import Index, InputTransform, Source, build_index, open_source
from pipeline.measures import PIXEL_COLUMNS, columns
from pipeline.models import LoadedModel, class_names, load_model
from pipeline.store import (
    Column,
    Receipt,
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
    loaded = load_model(config.model.name, config.model.weights, config.model.options)
    transform = InputTransform.from_dict(_input(config, loaded))
    layers, grid, extras = _probe(config, loaded, transform)
    names = _names(config, source, loaded.num_classes)
    _check_labels(config, index, loaded.num_classes)
    measured = columns(len(layers), bool(index.boxes), extras) | PIXEL_COLUMNS
    unit_rows = config.unit_rows or choose_unit_rows(
        index.rows, bytes_per_image(len(layers), grid, config.flow.store)
    )
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
        layers=layers,
        grid=grid,
        input=transform.to_dict(),
        classes=names,
        columns=tuple(Column(name, kind) for name, kind in measured.items()),
        dtype=config.flow.store,
    )
    return Prepared(spec, index, parts)


def _index(config: RunConfig, source: Source) -> tuple[Index, Spool | None]:
    """Return the index the run has if its dataset's listing is the same, else a new scan."""
    listing = source.listing()
    if listing is not None and is_run(config.run):
        known = stored_scan(open_store(config.run))
        if known and known["listing"] == listing:
            return Index(**known["index"]), None
    parts = Spool()
    index = build_index(source, parts.add)
    parts.finish({"listing": listing, "index": asdict(index)})
    return index, parts


def _input(config: RunConfig, loaded: LoadedModel) -> dict[str, object]:
    """Return the model's own transform with the configuration's overrides."""
    overrides = config.model.input.model_dump(exclude_none=True, mode="json")
    return {**loaded.input, **overrides}


def _probe(
    config: RunConfig, loaded: LoadedModel, transform: InputTransform
) -> tuple[tuple[str, ...], tuple[int, int], Sequence[str]]:
    """Compute the flow of one empty image: layers, grid and extras as they will really be."""
    height, width = transform.size
    with create_flow(config.flow.method, loaded.model, **config.flow.options) as flow:
        result = flow(torch.zeros(1, 3, height, width))
    rows, cols = result.maps.shape[2:]
    return result.layers, (rows, cols), tuple(result.extras)


def _names(config: RunConfig, source: Source, num_classes: int) -> tuple[str, ...]:
    names = list(class_names(config.dataset.classes, num_classes))
    if config.dataset.classes is None:
        for label, name in source.class_names.items():
            if label < num_classes:
                names[label] = name
    return tuple(names)


def _check_labels(config: RunConfig, index: Index, num_classes: int) -> None:
    highest = index.highest_label
    if highest is not None and highest >= num_classes:
        raise ConfigError(
            f"the dataset has the label {highest}, but {config.model.name} has only {num_classes} "
            "outputs; map the dataset's classes to the model's with dataset.labels"
        )
    if config.flow.target == "label" and not index.labelled:
        raise ConfigError("flow.target is label, but the dataset has no labels; use predicted")


@dataclass(frozen=True)
class Started:
    """Told once when computing begins: all rows, and how many are done from earlier."""

    spec: RunSpec
    rows_done: int
    units_todo: int
    workers: int


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
    with RunLock(store):
        create_run(store, spec, prepared.parts)
        done = valid_receipts(store, spec)
        todo = [unit for unit in spec.units if unit.id not in done]
        rows_done = sum(receipt.hi - receipt.lo for receipt in done.values())
        if todo:
            reopen(store)
            with _engine(config, engine) as chosen:
                on_start(Started(spec, rows_done, len(todo), chosen.workers))
                job = Job(config.run, config.limits.attempts, open_flows)
                for receipt in chosen.run(job, todo):
                    on_receipt(receipt)
        else:
            on_start(Started(spec, rows_done, 0, 0))
        return finalize(store, spec, quarantine_limit=config.limits.quarantine)


def _engine(config: RunConfig, engine: Engine | None) -> AbstractContextManager[Engine]:
    if engine is not None:
        return nullcontext(engine)
    if config.cluster.engine == "local":
        cpus = config.cluster.cpus_per_actor
        return nullcontext(LocalEngine(threads=1 if cpus == "auto" else cpus))
    from pipeline.engine.pool import RayEngine

    return RayEngine(config.cluster)

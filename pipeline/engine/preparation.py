"""``prepare``: everything about a run that shows before a worker starts, every error included."""

import logging
from contextlib import suppress
from dataclasses import asdict, dataclass

import timm
import torch

import pipeline
from pipeline.config import RunConfig
from pipeline.engine.class_names import class_names_of
from pipeline.engine.context import load_configured
from pipeline.engine.probe import Probe, check_target, choose_method
from pipeline.engine.reference_run import check_references, load_references, reference_run
from pipeline.engine.unit_size import bytes_per_image, choose_unit_rows
from pipeline.images import Index, InputTransform, Source, build_index, open_source
from pipeline.measures import PIXEL_COLUMNS, columns
from pipeline.models import LoadedModel
from pipeline.store import Column, Run, RunSpec, Spool, is_run, load_spec, open_store, stored_scan

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A run that can start: what it is, and what the scan of its dataset found."""

    spec: RunSpec
    index: Index
    parts: Spool | None
    """What the scan wrote; None where the run holds it already and nothing has changed."""
    notes: tuple[str, ...] = ()
    """What was assumed of the model, in sentences."""


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
    asked = config.flow.method
    config, tried = _try(config, source, loaded, transform, compared)
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
        leftovers=index.leftovers,
    )
    chosen = (f"flow.method: auto chose {config.flow.method}",) if asked == "auto" else ()
    return Prepared(spec, index, parts, notes=(*loaded.notes, *chosen))


def _index(config: RunConfig, source: Source) -> tuple[Index, Spool | None]:
    """Return the index the run has if its dataset's listing is the same, else a new scan."""
    listing = source.listing()
    if listing is not None and is_run(config.run):
        known = stored_scan(open_store(config.run))
        if known and known.get("listing") == listing:
            with suppress(KeyError, TypeError):  # another version's
                leftovers = load_spec(open_store(config.run)).leftovers
                _log.info("the listing is that of the run's index, which is used")
                return Index(**known["index"], leftovers=leftovers), None
        _log.info("the run's index is missing, or the listing has changed: scanning")
    parts = Spool()
    index = build_index(source, parts.add)
    counts = {name: value for name, value in asdict(index).items() if name != "leftovers"}
    parts.finish({"listing": listing, "index": counts})
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
) -> tuple[RunConfig, Probe]:
    """Try the method on the model, with the references it will really have, and name it."""
    references, asked = None, config.flow.references
    if compared is not None and asked is not None:
        check_references(config, compared, loaded.weights_sha256, transform.to_dict())
        references = load_references(compared, asked, source.root)
    return choose_method(config, loaded, transform.size, references)

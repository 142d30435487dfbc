"""``prepare``: everything that can be checked before a worker starts."""

from contextlib import suppress
from dataclasses import dataclass, replace

import timm
import torch

import pipeline
from pipeline.config import RunConfig
from pipeline.engine.class_names import class_names_of, outputs_of
from pipeline.engine.context import load_configured
from pipeline.engine.labelling import Labelling
from pipeline.engine.pairs import check_pairs, pairs_of
from pipeline.engine.probe import Probe, check_target, choose_method
from pipeline.engine.reference_run import check_references, load_references, reference_run
from pipeline.engine.scan import scan
from pipeline.engine.unit_size import bytes_per_image, choose_unit_rows
from pipeline.errors import FlowatlasError
from pipeline.images import Index, InputTransform, Source, open_source
from pipeline.measures import PIXEL_COLUMNS, columns
from pipeline.models import LoadedModel
from pipeline.store import Column, Run, RunSpec, Spool, load_spec, open_store


@dataclass(frozen=True)
class Prepared:
    """A run that can start: its specification, and what the scan of its dataset found."""

    spec: RunSpec
    index: Index
    parts: Spool | None
    """The index that the scan wrote; None if the run has it already and nothing has changed."""
    labelling: Labelling
    notes: tuple[str, ...] = ()
    """What was assumed about the model, in sentences."""


def prepare(config: RunConfig) -> Prepared:
    """Read the dataset's index and try the method on the model, on this machine's CPU.

    Every error in the configuration, the dataset or the model is raised here, before any worker
    or GPU is used.

    Raises
    ------
    ConfigError, DatasetError, UnsupportedModel
    """
    source = open_source(config.dataset)
    loaded = load_configured(config.model)
    compared = reference_run(config)
    asked = config.flow.method
    config, tried, transform = try_method(config, source, loaded, compared)
    pairs = pairs_of(config, loaded)
    if pairs is not None:
        check_pairs(config, source)
    scanned = scan(config, source, outputs_of(config, loaded, tried, compared), pairs)
    index = scanned.index
    begun = _begun(config)
    names = class_names_of(config, scanned, tried, compared)
    check_target(config, index, tried, names)
    both = config.flow.target == "both"
    measured = columns(len(tried.layers), bool(index.boxes), tried.extras, both)
    floats = tried.channels + (0 if index.images is None else len(names))
    image_bytes = bytes_per_image(
        len(tried.layers), tried.grid, config.flow.store, flows=1 + both, channels=floats
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
        input=_input(config, transform, begun),
        classes=names,
        columns=_columns(begun, measured | PIXEL_COLUMNS),
        dtype=config.flow.store,
        label_maps=both,
        channels=tried.channels,
        references=None if compared is None else compared.spec.hash,
        leftovers=index.leftovers,
        labels=scanned.names,
        images=index.images,
        # Rows of images with several labels are explained in groups of any size.
        padded=index.images is None if begun is None else begun.padded,
    )
    chosen = (f"flow.method: auto chose {config.flow.method}",) if asked == "auto" else ()
    notes = (*loaded.notes, *chosen)
    return Prepared(spec, index, scanned.parts, scanned.labelling, notes=notes)


def _begun(config: RunConfig) -> RunSpec | None:
    """Return what is stored of this run, perhaps by an earlier version; None if it is new."""
    with suppress(FlowatlasError):  # there is no run yet
        stored = load_spec(open_store(config.run))
        if stored.config_hash == config.hash():
            return stored
    return None


def _columns(begun: RunSpec | None, measured: dict[str, str]) -> tuple[Column, ...]:
    """Return the columns to write: of a run that an earlier version began, those it began with."""
    wanted = tuple(Column(name, kind) for name, kind in measured.items())
    if begun is not None:
        kept = tuple(column for column in wanted if column in begun.columns)
        if kept == begun.columns:
            return kept
    return wanted


def _input(
    config: RunConfig, transform: InputTransform, begun: RunSpec | None
) -> dict[str, object]:
    """Return the transform to store: an earlier version's run goes on with who resized there."""
    if begun is not None and config.model.input.resize is None:
        transform = replace(transform, resize=InputTransform.from_dict(begun.input).resize)
    return transform.to_dict()


def _transform(config: RunConfig, loaded: LoadedModel) -> InputTransform:
    """Return the model's own transform with the configuration's overrides."""
    overrides = config.model.input.model_dump(exclude_none=True, mode="json")
    return InputTransform.from_dict({"resize": "torch", **loaded.input, **overrides})


def try_method(
    config: RunConfig, source: Source, loaded: LoadedModel, compared: Run | None
) -> tuple[RunConfig, Probe, InputTransform]:
    """Try the method on the model, with the run's own references and input.

    Also returns the configuration, with ``auto`` replaced by the chosen method.
    """
    transform = _transform(config, loaded)
    references, asked = None, config.flow.references
    if compared is not None and asked is not None:
        check_references(config, compared, loaded.weights_sha256, transform.to_dict())
        references = load_references(compared, asked, source.root)
    config, tried = choose_method(config, loaded, transform.size, references)
    return config, tried, transform

"""``prepare``: everything that can be checked before a worker starts."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from pipeline.config import RunConfig
from pipeline.engine.class_names import class_names_of, outputs_of
from pipeline.engine.inspection.precision import chosen_precision
from pipeline.engine.inspection.remembered import inspected
from pipeline.engine.inspection.target import check_target
from pipeline.engine.labelling import Labelling
from pipeline.engine.reference_run import reference_run
from pipeline.engine.scan import check_pairs, pairs_of, scan
from pipeline.engine.unit_size import bytes_per_image, choose_unit_rows, head_bytes
from pipeline.errors import FlowatlasError
from pipeline.images import Index, InputTransform, open_source
from pipeline.measures import PIXEL_COLUMNS, columns
from pipeline.store import Column, RunSpec, Spool, load_spec, open_store


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


def prepare(config: RunConfig, opened: Callable[[], None] | None = None) -> Prepared:
    """Read the dataset's index and try the method on the model, on this machine's CPU.

    The model is not loaded if the same was tried here before: see :func:`inspected`.

    Every error in the configuration, the dataset or the model is raised here, before any worker
    or GPU is used.

    Parameters
    ----------
    config : RunConfig
    opened : callable, optional
        Called once dataset and references could be opened; what takes longer comes after.

    Raises
    ------
    ConfigError, DatasetError, UnsupportedModel
    """
    source = open_source(config.dataset)
    compared = reference_run(config)
    if opened is not None:
        opened()
    model, asked = inspected(config, source.root, compared), config.flow
    flow = config.flow.model_copy(update={"method": model.method})
    config = chosen_precision(config.model_copy(update={"flow": flow}))
    pairs = pairs_of(config, model.independent)
    if pairs is not None:
        check_pairs(config, source)
    scanned = scan(config, source, outputs_of(config, model, compared), pairs)
    index = scanned.index
    begun = _begun(config)
    names = class_names_of(config, scanned, model, compared, begun.classes if begun else None)
    check_target(config, index, model, names)
    both = config.flow.target == "both"
    measured = columns(len(model.layers), bool(index.boxes), model.extras, both)
    floats = model.channels + (0 if index.images is None else len(names))
    image_bytes = bytes_per_image(
        len(model.layers), model.grid, config.flow.store, flows=1 + both, channels=floats
    ) + head_bytes(len(model.head_layers), model.heads)
    image_bytes += 2 * len(model.layers) * model.layer_channels
    unit_rows = config.unit_rows or (
        choose_unit_rows(index.rows, image_bytes, config.flow.batch_size)
        if begun is None
        else begun.unit_rows
    )
    spec = RunSpec(
        config=config.identity(),
        config_hash=config.hash(),
        code_version=model.code_version,
        weights_sha256=model.weights_sha256,
        fingerprint=index.fingerprint,
        root=source.root,
        rows=index.rows,
        unit_rows=unit_rows,
        layers=model.layers,
        grid=model.grid,
        input=_input(config, InputTransform.from_dict(model.input), begun),
        classes=names,
        columns=_columns(begun, measured | PIXEL_COLUMNS),
        dtype=config.flow.store,
        label_maps=both,
        channels=model.channels,
        head_layers=model.head_layers,
        heads=model.heads,
        layer_channels=model.layer_channels,
        references=None if compared is None else compared.spec.hash,
        leftovers=index.leftovers,
        labels=scanned.names,
        images=index.images,
        # Rows of images with several labels are explained in groups of any size.
        padded=index.images is None if begun is None else begun.padded,
    )
    wanted = {"method": asked.method, "precision": asked.precision}
    chosen = [
        f"flow.{name}: auto chose {getattr(config.flow, name)}"
        for name, value in wanted.items()
        if value == "auto"
    ]
    notes = (*model.notes, *chosen)
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

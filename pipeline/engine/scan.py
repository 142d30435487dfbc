"""``scan``: a dataset's index, with every class assigned to an output of the model."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from pipeline.config import RunConfig
from pipeline.engine.dataset_names import names_in
from pipeline.engine.labelling import Labelling, LabelsUnclear, label_classes
from pipeline.errors import ConfigError, FlowatlasError
from pipeline.images import Index, NamesNeeded, Pairs, Source, build_index, open_source
from pipeline.models import Outputs, Vocabulary
from pipeline.store import Spool, load_spec, open_store, stored_scan

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan:
    """A dataset as the run sees it.

    ``parts`` is the index that the scan wrote, None if the run has it already and nothing has
    changed. ``names`` are the classes that were matched by name, name → output, if the dataset's
    own order would give other labels.
    """

    source: Source
    index: Index
    parts: Spool | None
    labelling: Labelling
    names: Mapping[str, int] | None


def scan(config: RunConfig, source: Source, outputs: Outputs, pairs: Pairs | None = None) -> Scan:
    """Assign the classes of ``source`` to the model's outputs and list its images.

    ``pairs`` is how images with several labels become rows; without it they are refused.

    Raises
    ------
    ConfigError
        It is not clear which outputs the classes are, or a label is not one of them.
    DatasetError
        The dataset contradicts itself.
    """
    found = partial(_scanned, config, pairs)
    if config.dataset.labels is not None:
        labelling = Labelling("mapping", outputs, source.classes, config.dataset.labels)
        return found(source, labelling, None)
    names = list(source.class_names.values())
    try:
        labelling = label_classes(names, outputs)
    except LabelsUnclear as error:
        if not _started_by_position(config):
            raise
        return found(source, Labelling("earlier", outputs, {}, str(error)), None)
    moved = {n: o for place, n in enumerate(names) if (o := labelling.classes[n]) != place}
    if moved and _started_by_position(config):
        why = f"matching by {labelling.by} gives other labels; choose another run folder to use it"
        return found(source, Labelling("earlier", outputs, {}, why), None)
    if moved:
        return _named(config, pairs, labelling)
    try:
        return found(source, labelling, None)
    except NamesNeeded:
        # Archives and Parquet files name their classes row by row.
        if outputs.names is None:
            return _named(config, pairs, label_classes(names_in(config.dataset), outputs))
    vocabulary = Vocabulary(outputs)
    by_name = found(open_source(config.dataset, vocabulary), labelling, vocabulary)
    classes = by_name.names or {}
    return replace(by_name, labelling=Labelling("name", outputs, classes))


def _named(config: RunConfig, pairs: Pairs | None, labelling: Labelling) -> Scan:
    """List the images with the labels that their classes' names have been assigned."""
    known = {name: output for name, output in labelling.classes.items() if output is not None}
    vocabulary = Vocabulary(labelling.outputs, known)
    return _scanned(config, pairs, open_source(config.dataset, vocabulary), labelling, vocabulary)


def _scanned(
    config: RunConfig,
    pairs: Pairs | None,
    source: Source,
    labelling: Labelling,
    vocabulary: Vocabulary | None,
) -> Scan:
    """Return the index the run has if its dataset's listing is the same, else a new scan."""
    listing = source.listing()
    if listing is not None and source.multi_label:
        listing = f"{listing} {pairs}"
    if listing is not None:
        with suppress(FlowatlasError, KeyError, TypeError):  # no run yet, or another version's
            store = open_store(config.run)
            known = stored_scan(store)
            if known and known.get("listing") == listing:
                stored = load_spec(store)
                index = Index(**known["index"], leftovers=stored.leftovers)
                _log.info("the listing has not changed: using the run's index")
                return Scan(source, index, None, labelling, stored.labels)
        _log.info("the run's index is missing, or the listing has changed: scanning")
    parts = Spool()
    index = build_index(source, parts.add, pairs)
    parts.finish({"listing": listing, "index": index.counts()})
    names = None if vocabulary is None else dict(sorted(vocabulary.met.items()))
    return Scan(source, index, parts, labelling, names)


def pairs_of(config: RunConfig, independent: bool) -> Pairs | None:
    """Return how images with several labels become rows; None unless outputs are independent."""
    if not independent:
        return None
    if config.flow.target in ("label", "both"):
        return Pairs()
    return Pairs(config.flow.max_outputs if config.flow.target == "predicted" else 1)


def check_pairs(config: RunConfig, source: Source) -> None:
    """Raise ConfigError if the run cannot explain the several labels of an image."""
    if source.multi_label and config.flow.references is not None:
        raise ConfigError(
            "flow.references compares an image with those of one class, but this dataset has "
            "several labels per image; remove the references"
        )
    if source.multi_label and config.flow.target == "both":
        raise ConfigError(
            "flow.target is both, but images with several labels have no single answer to compare "
            "with; use label (each label of an image) or predicted (each predicted output)"
        )


def _started_by_position(config: RunConfig) -> bool:
    """Return whether the run was started with this configuration and without matching names."""
    with suppress(FlowatlasError):  # there is no run yet
        spec = load_spec(open_store(config.run))
        return spec.config_hash == config.hash() and spec.labels is None
    return False

"""The names of a run's classes, whoever knows them: references, dataset, or nobody."""

from pipeline.config import RunConfig
from pipeline.engine.probe import Probe
from pipeline.errors import ConfigError
from pipeline.files.node_cache import local_copy
from pipeline.images import Index, Source
from pipeline.models import class_names
from pipeline.store import Run


def class_names_of(
    config: RunConfig, source: Source, index: Index, tried: Probe, compared: Run | None
) -> tuple[str, ...]:
    """Return one name per class that a label or a prediction of the run may have.

    With references they are the reference run's classes; of a model with outputs, one per output;
    of a model without, as many as the labels need (at least one).

    Raises
    ------
    ConfigError
        A label of the dataset is no such class, or is called otherwise by the reference run.
    """
    highest = index.highest_label
    classes = config.dataset.classes and local_copy(config.dataset.classes)
    if compared is not None:
        _check_numbering(config, source, compared)
        names = compared.spec.classes
        owner = f"the reference run {compared.uri}"
    elif tried.outputs:
        names = class_names(classes, tried.outputs)
        owner = config.model.name
    else:
        needed = max(-1 if highest is None else highest, *source.class_names, 0) + 1
        names = class_names(classes, needed, more=True)
        owner = "dataset.classes"
    if highest is not None and highest >= len(names):
        raise ConfigError(
            f"the dataset has the label {highest}, but {owner} has only {len(names)} classes; "
            "map the dataset's classes to the model's with dataset.labels"
        )
    if config.dataset.classes is not None or compared is not None:
        return names
    return tuple(source.class_names.get(index, name) for index, name in enumerate(names))


def _check_numbering(config: RunConfig, source: Source, compared: Run) -> None:
    """Raise ConfigError if a folder's own numbering of classes is not the reference run's."""
    theirs = compared.config.dataset
    if config.dataset.labels is not None or not source.class_names:
        return
    if theirs.labels is not None:
        raise ConfigError(
            "the reference run maps its labels with dataset.labels, this run does not; "
            "give both the same dataset.labels"
        )
    if theirs.classes is not None:
        return
    for label, name in sorted(source.class_names.items()):
        known = compared.spec.classes[label] if label < len(compared.spec.classes) else None
        if known != name:
            raise ConfigError(
                f"label {label} is {name!r} here but {known!r} in the reference run; "
                "give both datasets the same dataset.labels"
            )

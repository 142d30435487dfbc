"""The names of a run's classes, from its references, model or dataset."""

from pipeline.config import RunConfig
from pipeline.engine.inspection.inspection import Inspection
from pipeline.engine.scan import Scan
from pipeline.errors import ConfigError
from pipeline.files.node_cache import local_copy
from pipeline.models import Outputs, class_names
from pipeline.models.outputs.output_names import IMAGENET_1K
from pipeline.nouns import counted
from pipeline.store import Run


def outputs_of(config: RunConfig, inspected: Inspection, compared: Run | None) -> Outputs:
    """Return the outputs that a run's labels refer to, with their names if they have any.

    With references these are the reference run's classes; else the model's outputs, named by
    ``dataset.classes`` or by the model's own weights.
    """
    if compared is not None:
        owner = f"the reference run {compared.uri}"
        return _named(owner, compared.spec.classes)
    if not inspected.logits or config.dataset.classes in (None, IMAGENET_1K):
        return inspected.outputs
    names = class_names(local_copy(config.dataset.classes), inspected.logits)
    return _named(config.model.name, names)


def _named(owner: str, classes: tuple[str, ...]) -> Outputs:
    """Return outputs with these names; an unnamed output 7 is stored as ``class 7``."""
    names = tuple("" if name == f"class {index}" else name for index, name in enumerate(classes))
    return Outputs(owner, len(names), names if any(names) else None)


def class_names_of(
    config: RunConfig,
    scanned: Scan,
    inspected: Inspection,
    compared: Run | None,
    stored: tuple[str, ...] | None = None,
) -> tuple[str, ...]:
    """Return one name per class that a label or a prediction of the run may have.

    With references these are the reference run's classes; for a model with outputs, one per output;
    for a model without, as many as the labels need (at least one). Where the dataset's classes were
    matched by name the outputs keep their own names; else the dataset's names take precedence, and
    what they leave out is called as the model's weights call it. A run that ``stored`` names
    without these, as earlier versions did, keeps them.

    Raises
    ------
    ConfigError
        A label of the dataset is not one of the classes.
    """
    highest, source = scanned.index.highest_label, scanned.source
    classes = config.dataset.classes and local_copy(config.dataset.classes)
    if compared is not None:
        names = compared.spec.classes
        owner = f"the reference run {compared.uri}"
    elif inspected.logits:
        known = inspected.outputs.names if classes == IMAGENET_1K else None
        names = known or class_names(classes, inspected.logits)
        owner = config.model.name
    else:
        needed = max(-1 if highest is None else highest, *source.class_names, 0) + 1
        names = class_names(classes, needed, more=True)
        owner = "dataset.classes"
    if highest is not None and highest >= len(names):
        raise ConfigError(
            f"the dataset has the label {highest}, but {owner} has only "
            f"{counted(len(names), 'class')}; "
            "map the dataset's classes to the model's with dataset.labels"
        )
    if config.dataset.classes is not None or compared is not None:
        return names
    if scanned.names is not None and scanned.labelling.outputs.names is not None:
        return scanned.labelling.outputs.names
    given = tuple(source.class_names.get(index, name) for index, name in enumerate(names))
    own = inspected.outputs.names
    if own is None or len(own) != len(names) or stored == given:
        return given
    return tuple(
        source.class_names.get(index, own[index] or name) for index, name in enumerate(names)
    )

"""``suggest_labels``: a mapping to complete by hand where labels are ambiguous."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.config import RunConfig
from pipeline.engine.class_names import outputs_of
from pipeline.engine.dataset_names import names_in
from pipeline.engine.inspection.remembered import inspected
from pipeline.engine.reference_run import reference_run
from pipeline.errors import ConfigError
from pipeline.images import labels_json, open_source
from pipeline.models import Matching, Vocabulary, number_in


@dataclass(frozen=True)
class SuggestedLabels:
    """Name → output, None where the user has to choose; ``text`` is the file to edit."""

    labels: Mapping[str, int | None]
    text: str

    @property
    def filled(self) -> int:
        """How many classes have an output."""
        return sum(output is not None for output in self.labels.values())


def suggest_labels(config: RunConfig, by: str = "name") -> SuggestedLabels:
    """Match the dataset's classes to the model's outputs, without guessing.

    Parameters
    ----------
    config : RunConfig
        Its ``dataset.labels`` are ignored.
    by : str
        ``name``, ``number`` or ``position`` in the dataset's own order.

    Raises
    ------
    ConfigError
        The dataset does not name its classes, or the model has no outputs.
    """
    dataset = config.dataset.model_copy(update={"labels": None})
    config = config.model_copy(update={"dataset": dataset})
    source = open_source(dataset)
    names = list(dict.fromkeys(source.class_names.values())) or names_in(dataset)
    if not names:
        raise ConfigError(
            "the dataset gives class indices, not names, so there is nothing to match; "
            "write dataset.labels by hand, a JSON object: index of the dataset → of the model"
        )
    compared = reference_run(config)
    outputs = outputs_of(config, inspected(config, source.root, compared), compared)
    if not outputs.count:
        raise ConfigError(f"{outputs.owner} has no outputs: its classes are the dataset's own")
    vocabulary = Vocabulary(outputs)
    matching = vocabulary.match(names)
    matched = _assigned(names, by, matching, outputs.count)
    labels = {name: matched.get(name) for name in names}

    def close(name: str) -> Sequence[int]:
        return matching.ambiguous.get(name) or vocabulary.close(name)

    return SuggestedLabels(labels, labels_json(labels, outputs.name, outputs.explained, close))


def _assigned(names: Sequence[str], by: str, matching: Matching, count: int) -> Mapping[str, int]:
    if by == "name":
        return matching.matched
    if by == "position":
        return {name: place for place, name in enumerate(names[:count])}
    numbers = {name: number_in(name) for name in names}
    return {name: n for name, n in numbers.items() if n is not None and n < count}

"""Rows of images with several labels: an image and one of its outputs each."""

from dataclasses import dataclass, replace

from pipeline.errors import ConfigError
from pipeline.images.sources.source import Entry
from pipeline.nouns import counted

_SHOWN = 5


@dataclass(frozen=True)
class Pairs:
    """How an image with several labels becomes rows of the index.

    ``each`` is the number of rows of every image, for outputs that are known when it is computed;
    None: a row for each of its labels, and one for an image without labels.
    """

    each: int | None = None

    def rows(self, entry: Entry) -> list[Entry]:
        """Return the rows of an image, in order of its labels."""
        if self.each is not None:
            return [entry] * self.each
        return [replace(entry, label=label) for label in entry.labels or (None,)]


def one_label(entry: Entry) -> Entry:
    """Return an image with its only label, or without a label.

    Raises
    ------
    ConfigError
        It has several labels.
    """
    labels = entry.labels or ()
    if len(labels) > 1:
        shown = ", ".join(map(str, labels[:_SHOWN])) + (", …" if len(labels) > _SHOWN else "")
        raise ConfigError(
            f"{entry.uri[:200]!r} has {counted(len(labels), 'label')} (outputs {shown}): if the "
            "model's "
            "outputs are independent, a sigmoid each, set model.output: sigmoid, and images are "
            "explained for each of their labels (see pipeline/images/README.md); if they are "
            "classes of one softmax, give every image one label"
        )
    label = labels[0] if labels else None
    boxed = zip(entry.boxes, entry.box_labels, strict=True)
    boxes = tuple(box for box, own in boxed if label is None or own is None or own == label)
    return replace(entry, label=label, boxes=boxes, labels=None, box_labels=())

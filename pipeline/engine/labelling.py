"""Assigns each class of the dataset to an output of the model, by name or position, or refuses."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.errors import ConfigError
from pipeline.images import Index
from pipeline.models import Matching, Outputs, Vocabulary, order_is_clear
from pipeline.nouns import agreeing, counted, part_of

By = Literal["name", "number", "position", "mapping", "index", "dataset", "earlier"]

_SHOWN = 4
_LONGEST = 40
_SEPARATORS = "|;,/ "


class LabelsUnclear(ConfigError):
    """It is not clear which outputs of the model the dataset's classes are."""


@dataclass(frozen=True)
class Labelling:
    """How the classes of a dataset were assigned to the outputs of a model.

    Attributes
    ----------
    by : str
        ``name`` or ``number`` of the class; ``position`` in the order of the names; ``mapping``
        (``dataset.labels``); ``index``: the dataset gives indices; ``dataset``: the model has no
        outputs, the classes are the dataset's own; ``earlier``: as when the run was started.
    classes : mapping
        Name → output, None for classes left without a label; empty where the dataset has no names.
    outputs : Outputs
    source : str
        The file of the mapping, or the reason for using the order.
    """

    by: By
    outputs: Outputs
    classes: Mapping[str, int | None] = field(default_factory=dict)
    source: str = ""

    def sentence(self, index: Index) -> str:
        """Return in one line how many images have labels, and how these were assigned."""
        if not index.labelled:
            return "no labels"
        images = f"{part_of(index.labelled, index.rows, 'image')} labelled"
        if index.images is not None:
            unknown = index.images - index.labelled
            images = f"{counted(index.images, 'image')} with {counted(index.labels or 0, 'label')}"
            images += f" ({unknown:,} unlabelled)" if unknown else ""
        matched = sum(output is not None for output in self.classes.values())
        count = part_of(matched, len(self.classes), "class")
        if self.by == "index" and not self.outputs.count:
            return f"{images} by index, 0 … {index.highest_label}: the model has no outputs"
        if self.by == "index":
            outputs = counted(self.outputs.count, "output")
            return f"{images} by index, 0 … {index.highest_label} of {outputs}"
        if self.by == "dataset":
            return f"{images}, in the dataset's own classes: the model has no outputs"
        if self.by == "earlier":
            return (
                f"{images}, by position, as when this run was started, NOT checked: {self.source}"
            )
        how = {
            "name": "matched by name",
            "number": "matched by number",
            "position": "by position: the outputs have no names, and the order is unambiguous",
            "mapping": f"by the mapping {self.source}",
        }[self.by]
        example = next(((n, o) for n, o in self.classes.items() if o is not None), None)
        shown = "" if example is None else f", e.g. {self._example(*example)}"
        unlabelled = [name for name, output in self.classes.items() if output is None]
        left = f"; without a label: {few(unlabelled)}" if unlabelled else ""
        return f"{images}, {count} {how}{shown}{left}"

    def to_json(self, index: Index) -> dict[str, Any]:
        """Return the same as JSON data."""
        return {
            "by": self.by if index.labelled else "none",
            "images": index.rows if index.images is None else index.images,
            "labelled": index.labelled,
            **({} if index.labels is None else {"labels": index.labels}),
            "classes": len(self.classes),
            "matched": sum(output is not None for output in self.classes.values()),
            "sentence": self.sentence(index),
        }

    def _example(self, name: str, output: int) -> str:
        return f"{_plain(name)} = {self.outputs.described(output)}"


def label_classes(names: Sequence[str], outputs: Outputs) -> Labelling:
    """Assign the dataset's classes, in its own order, to outputs, without guessing.

    Parameters
    ----------
    names : sequence of str
        The dataset's class names, in its own order; empty where it gives indices.
    outputs : Outputs

    Raises
    ------
    LabelsUnclear
        A name matches no output or several, or only an ambiguous order could decide; the
        message shows both sides and the next step.
    """
    if not names:
        return Labelling("index", outputs)
    in_order = {name: place for place, name in enumerate(names)}
    if not outputs.count:
        return Labelling("dataset", outputs, in_order)
    matching = Vocabulary(outputs).match(names)
    if outputs.names is not None:
        if not matching.complete:
            raise LabelsUnclear(_unmatched(names, outputs, matching))
        numbered = not any(name in outputs.aliases(o) for name, o in matching.matched.items())
        numbered &= all(name.strip().isdecimal() for name in names)
        return Labelling("number" if numbered else "name", outputs, matching.matched)
    clear = len(names) == outputs.count and order_is_clear(names)
    if matching.complete and not matching.in_order and len(names) == outputs.count:
        raise LabelsUnclear(_two_orders(names, matching.matched, in_order))
    if matching.complete:
        return Labelling("number", outputs, matching.matched)
    if clear:
        return Labelling("position", outputs, in_order)
    raise LabelsUnclear(_nameless(names, outputs))


def few(names: Collection[str]) -> str:
    """Return a few names for a message, with control characters escaped."""
    shown = ", ".join(repr(name[:_LONGEST]) for name in list(names)[:_SHOWN])
    return shown + (f", … ({len(names):,})" if len(names) > _SHOWN else "")


def _plain(name: str) -> str:
    short = name[:_LONGEST]
    return short if short.isprintable() else repr(short)


_WRITE = (
    "create a mapping with: flowatlas labels CONFIG (it fills in the matches and lists close names)"
)


def _unmatched(names: Sequence[str], outputs: Outputs, matching: Matching) -> str:
    parts = [
        f"{len(matching.matched):,} of the dataset's {counted(len(names), 'class')} "
        f"{agreeing(len(matching.matched), 'matches', 'match')} an output of {outputs.owner} by "
        "name"
    ]
    if matching.matched:
        name, output = next(iter(matching.matched.items()))
        parts[0] += f" ({name[:_LONGEST]} = {outputs.described(output)})"
    if matching.unknown:
        parts.append(f"no output is called {few(matching.unknown)}")
    for name, several in list(matching.ambiguous.items())[:2]:
        meant = " or ".join(outputs.described(output) for output in several[:3])
        also = [
            other
            for other in matching.ambiguous
            if other != name and set(several) & set(matching.ambiguous[other])
        ]
        same = f", as may {few(also)}" if len(several) == 1 else ""
        parts.append(f"{name[:_LONGEST]!r} may mean {meant}{same}")
    if len(matching.ambiguous) > 2:
        parts.append(f"{len(matching.ambiguous) - 2} more are ambiguous")
    parts += _joined(matching.unknown, outputs)
    theirs = few([outputs.name(index) for index in range(outputs.count)])
    return (
        f"{'; '.join(parts)}. The outputs are called {theirs}. If that is wrong, name them with "
        f"dataset.classes; otherwise {_WRITE}"
    )


def _joined(unknown: Sequence[str], outputs: Outputs) -> list[str]:
    """Return a hint if names are several of the outputs' names with a separator between them."""
    vocabulary = Vocabulary(outputs)
    for name in unknown:
        for separator in _SEPARATORS:
            parts = [part.strip() for part in name.split(separator)]
            if len(parts) > 1 and all(len(vocabulary.candidates(part)) == 1 for part in parts):
                return [f"if {name[:_LONGEST]!r} are {counted(len(parts), 'label')} of one "
                        "image, set "
                        f"dataset.label_separator: {separator!r}"]  # fmt: skip
    return []


def _nameless(names: Sequence[str], outputs: Outputs) -> str:
    counts = (
        f"as many as {outputs.owner} has outputs, but the order of these names is in doubt"
        if len(names) == outputs.count
        else f"but {outputs.owner} has {counted(outputs.count, 'output')}"
    )
    return (
        f"the dataset has {counted(len(names), 'class')} ({few(names)}), {counts}, and the "
        "outputs have "
        "no names: which class is which output? Name the outputs in their order with "
        f"dataset.classes, a text file of one name per line; or {_WRITE}"
    )


def _two_orders(
    names: Sequence[str], by_number: Mapping[str, int], in_order: Mapping[str, int]
) -> str:
    name = next(name for name in names if by_number[name] != in_order[name])
    return (
        f"the class {name!r} is output {by_number[name]} by its number, but output "
        f"{in_order[name]} by its position among the names sorted as text (torchvision's "
        "ImageFolder). Choose one with: flowatlas labels CONFIG --by number, or --by position"
    )

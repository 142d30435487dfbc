"""Sentences of shortcuts: every number in them is one of the finding's own columns."""

from collections.abc import Sequence

from pipeline.audit.places import PLACES
from pipeline.audit.shortcuts.detection import Shortcut, Signal
from pipeline.audit.text.numbers import figure, percent, rate
from pipeline.audit.text.quoting import quote

_TEMPLATES = {
    ("corner", "level"): "{name} looks at the {place}: a lift of {value} there, where the other "
    "classes have {control} (effect {effect}, {proof}).",
    ("corner", "tail"): "{name} has many images that look at the {place}: one in ten has a lift "
    "of at least {value} there, where other classes reach {control} (effect {effect}, {proof}).",
    ("corner", "share"): "{name} has some images that look almost only at the {place}: {share} of "
    "them have half of their flow there or more, where {expected} would be expected "
    "({effect} times more; {proof}).",
    ("mass", "level"): "{name} needs little evidence: where the model is confident the flow has a "
    "mass of {value}, where the other classes have {control} ({effect} times less; {proof}).",
    ("mass", "tail"): "{name} has many images with little evidence: where the model is confident "
    "one in ten has a mass below {value}, in the other classes below {control} ({effect} times "
    "less; {proof}).",
    ("depth", "level"): "{name} converges early: its flow has converged at layer {value}, that "
    "of the other classes at {control} ({effect} layers earlier; {proof}).",
}


_ECHO = (
    " {source} looks there far more, and a model that has learnt to check a place checks it in "
    "images of other classes too."
)


def sentence(shortcut: Shortcut, names: Sequence[str]) -> str:
    """Return the sentence of a shortcut; ``names`` are those of all classes."""
    signal, place, source = shortcut.headline, shortcut.headline.statistic.place, shortcut.source
    kind = "corner" if signal.statistic.kind == "border" else signal.statistic.kind
    text = _TEMPLATES[kind, signal.statistic.aspect].format(
        name=quote(names[signal.class_id]),
        place=PLACES[place] if place else "",
        value=figure(signal.value),
        control=figure(signal.control),
        share=percent(signal.value),
        expected=percent(signal.control),
        effect=rate(signal.effect),
        proof=_proof(signal),
    )
    return text if source is None else text + _ECHO.format(source=quote(names[source]))


def _proof(signal: Signal) -> str:
    return f"z = {signal.z:.1f}, q = {rate(signal.q)}, {signal.images} images"

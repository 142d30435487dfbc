"""Sentences of shortcuts: one statement each, whose numbers are columns of the finding.

The count of images that carry a shortcut comes first where there is one; effect, z and q are for
the page of the finding.
"""

from collections.abc import Sequence

from pipeline.audit.places import PLACES
from pipeline.audit.shortcuts.carriers import Carriers
from pipeline.audit.shortcuts.detection import Shortcut
from pipeline.audit.stats.estimates import FAR, LOOKING
from pipeline.audit.text.numbers import figure, percent
from pipeline.audit.text.quoting import quote
from pipeline.nouns import counted

_COUNTED = {
    FAR: "{carriers} of {of} of {name} look almost only at the {place}: half of their flow "
    "or more is there, as in {elsewhere} of all other images.",
    LOOKING: "{carriers} of {of} of {name} look at the {place}: a quarter of their flow or "
    "more is there, as in {elsewhere} of all other images.",
}
_AT_THE_BORDER = (
    "{carriers} of {of} of {name} look at the {place}: at least twice the flow of a uniform "
    "map is there, as in {elsewhere} of all other images."
)

_TEMPLATES = {
    ("corner", "level"): "{name} looks at the {place} more than other classes do: {value} times "
    "the flow of a uniform map is there, in the other classes {control} times.",
    ("corner", "tail"): "One in ten images of {name} looks at the {place}: at least {value} times "
    "the flow of a uniform map is there, in the other classes {control} times.",
    ("corner", "share"): "Some images of {name} look almost only at the {place}: {share} have half "
    "of their flow or more there, where {expected} would be expected.",
    ("mass", "level"): "{name} needs little evidence: where the model is confident its flow has a "
    "mass of {value}, in the other classes {control}.",
    ("mass", "tail"): "One in ten images of {name} needs little evidence: where the model is "
    "confident its flow has a mass below {value}, in the other classes below {control}.",
    ("depth", "level"): "{name} is settled early: its flow has converged at layer {value}, that of "
    "the other classes at layer {control}.",
}


_ECHO = (
    " {source} looks there far more, and a model that has learnt to check a place checks it in "
    "images of other classes too."
)


def sentence(shortcut: Shortcut, names: Sequence[str], carriers: Carriers | None = None) -> str:
    """Return the sentence of a shortcut; ``names`` are those of all classes.

    With ``carriers`` of the headline, their number leads.
    """
    signal, place = shortcut.headline, shortcut.headline.statistic.place
    kind = "corner" if signal.statistic.kind == "border" else signal.statistic.kind
    template = _TEMPLATES[kind, signal.statistic.aspect]
    numbers = {}
    if carriers is not None:
        template = _COUNTED.get(carriers.lift, _AT_THE_BORDER)
        numbers = {
            "carriers": f"{carriers.images:,}",
            "of": counted(carriers.of, "image"),
            "elsewhere": percent(carriers.elsewhere),
        }
    text = template.format(
        name=quote(names[signal.class_id]),
        place=PLACES[place] if place else "",
        value=figure(signal.value),
        control=figure(signal.control),
        share=percent(signal.value),
        expected=percent(signal.control),
        **numbers,
    )
    source = shortcut.source
    return text if source is None else text + _ECHO.format(source=quote(names[source]))

"""``Finding``: what stands out in a run, from its detection to its page in the report."""

import math
from dataclasses import dataclass

KINDS = (
    "shortcut",
    "rare",
    "echo",
    "lead",
    "screened",
    "cluster",
    "outlier",
    "wrong_vs_right",
    "fault",
    "property",
    "labels",
    "drift",
)
"""What a finding can be, and what ``--fail-on`` can name.

``labels`` are labels that do not look like the model's outputs: nothing else can be read then.
A ``lead`` is a candidate too rare to prove by counting, tested by transplanting: it is a finding
once ``confirm`` has proven that it works. A ``screened`` one is a part of some images of a class
that turns other images into it, found by what it does (``screen``)."""

SEVERITIES = ("high", "medium", "low")

SHOWN = 16
"""Images of evidence per finding."""

_NUMBERS = ("value", "control", "effect", "z", "q", "images", "carriers", "elsewhere", "layer")


@dataclass(frozen=True)
class Finding:
    """A finding with its evidence.

    Attributes
    ----------
    kind, severity
        One of ``KINDS``, one of ``SEVERITIES``.
    class_id, class_name
        None where a finding is about the whole run.
    statistic
        What was measured: a column and an aspect of it, or a fact.
    value, control, effect, z, q
        ``control`` is what ``value`` would be without the finding, ``effect`` how far apart the
        two are (the sentence says in which unit), ``q`` the false discovery rate; None where a
        fact needs no test.
    images
        Images that ``value`` rests on.
    carriers, elsewhere
        Of a place: images of the class that look there, and the share in [0, 1] of the images of
        all other classes that do; None where nothing was counted.
    layer
        None where a finding is about the flow accumulated over all layers.
    columns
        Columns of the summary that it was read from, those of ``statistic`` first.
    place
        A key of :data:`pipeline.audit.places.PLACES`, None where there is nothing to paste.
    supporting
        The other statistics in which the same class stands out, strongest first.
    evidence
        Rows with the value that puts them there, the strongest first.
    number
        Its place in the audit, from 0, the most severe first; -1 before they are put in order.
    """

    kind: str
    class_id: int | None
    statistic: str
    value: float
    images: int
    severity: str
    sentence: str
    class_name: str | None = None
    control: float | None = None
    effect: float | None = None
    z: float | None = None
    q: float | None = None
    layer: int | None = None
    columns: tuple[str, ...] = ()
    place: str | None = None
    supporting: tuple[str, ...] = ()
    evidence: tuple[tuple[int, float], ...] = ()
    number: int = -1
    carriers: int | None = None
    elsewhere: float | None = None

    @property
    def numbers(self) -> tuple[tuple[str, float], ...]:
        """(name, value) of what the sentence rests on, as far as it is defined."""
        named = ((name, getattr(self, name)) for name in _NUMBERS)
        return tuple((name, float(value)) for name, value in named if _defined(value))

    @property
    def rows(self) -> tuple[int, ...]:
        """The rows of the evidence."""
        return tuple(row for row, _ in self.evidence)


def _defined(value: float | None) -> bool:
    return value is not None and math.isfinite(value)

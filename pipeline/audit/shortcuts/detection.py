"""Shortcuts: a class whose images look at a place, or lack mass, unlike any other class.

Every statistic of every class is tested against the other classes; the p-values of all of them
share one Benjamini–Hochberg correction. What is significant *and* large enough counts, and all
signals of one class become one shortcut. A model that has learnt to check a place for one class
checks it in images of others too: a weak shortcut at the place of a strong one is its echo.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.audit.finding import SEVERITIES
from pipeline.audit.places import LIFT_COLUMNS
from pipeline.audit.stats.beta_binomial import contrast_shares
from pipeline.audit.stats.contrast import Contrast, benjamini_hochberg, contrast
from pipeline.audit.stats.estimates import QUIET_LIFT, Estimates, Statistic

Q_LIMIT = 0.02
"""Largest false discovery rate of what is reported."""

ALONE_LIMIT = 0.001
"""Largest false discovery rate where a class stands out in one level or tail alone: a shortcut that
is common shows in several statistics. A share may stand alone, for a rare one shows nowhere
else."""

EVEN = 1.0
"""Lift of an even flow. A place that gets less on average, and in nine of ten images, is not looked
at, however little it gets in other classes."""

_PLACES = ("corner", "border")

RARE = 0.1
"""Share of the images of a class up to which a shortcut is rare."""


@dataclass(frozen=True)
class Signal:
    """A statistic in which one class stands out.

    ``effect`` compares value and control: how many times larger a lift is (both raised by
    ``QUIET_LIFT``), how many times smaller a mass, how many layers earlier a depth.
    """

    statistic: Statistic
    class_id: int
    value: float
    control: float
    effect: float
    z: float
    q: float
    images: int


@dataclass(frozen=True)
class Shortcut:
    """All signals of one class: the headline, and those that support it.

    ``source`` is the class that looks at the same place far more, if this is only an echo of it.
    """

    headline: Signal
    supporting: tuple[Signal, ...]
    source: int | None = None

    @property
    def signals(self) -> tuple[Signal, ...]:
        """All signals, the headline first."""
        return self.headline, *self.supporting

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the signals, each once."""
        return tuple(dict.fromkeys(signal.statistic.column for signal in self.signals))

    @property
    def place(self) -> str | None:
        """The first place that the signals name: the headline may be a mass or a depth."""
        places = (signal.statistic.place for signal in self.signals)
        return next((place for place in places if place is not None), None)

    @property
    def kind(self) -> str:
        """``echo``, ``rare`` where few images carry it, else ``shortcut``."""
        if self.source is not None:
            return "echo"
        return "rare" if self.headline.statistic.aspect == "share" else "shortcut"

    @property
    def severity(self) -> str:
        """``low`` of an echo; ``high`` where mechanisms agree or the effect is twice the least."""
        if self.source is not None:
            return "low"
        kinds = {signal.statistic.kind for signal in self.signals}
        places = kinds & set(_PLACES)
        large = self.headline.effect >= 2 * self.headline.statistic.effect
        return "high" if large or (places and kinds - set(_PLACES)) else "medium"


def find_shortcuts(estimates: Sequence[Estimates]) -> tuple[Shortcut, ...]:
    """Return one shortcut per class that stands out, the most severe first."""
    contrasts = [item for family in _families(estimates) for item in _contrast(family)]
    if not contrasts:
        return ()
    q = benjamini_hochberg(np.stack([item.p for item in contrasts]))
    by_class: dict[int, list[Signal]] = {}
    for item, row in zip(contrasts, q, strict=True):
        for class_id in np.flatnonzero(row <= Q_LIMIT).tolist():
            signal = _signal(item, class_id, float(row[class_id]))
            if signal.effect >= signal.statistic.effect:
                by_class.setdefault(class_id, []).append(signal)
    kept = [_without_faint_places(signals) for signals in by_class.values()]
    found = sorted((_merge(signals) for signals in kept if _sufficient(signals)), key=_rank)
    return tuple(sorted((_mark_echo(shortcut, found) for shortcut in found), key=_rank))


def _families(estimates: Sequence[Estimates]) -> list[list[Estimates]]:
    """Group the estimates that are one question: the four corners, by aspect."""
    families: dict[tuple[str, str], list[Estimates]] = {}
    for item in estimates:
        families.setdefault((item.statistic.kind, item.statistic.aspect), []).append(item)
    return list(families.values())


def _contrast(family: Sequence[Estimates]) -> tuple[Contrast, ...]:
    counted = family[0].statistic.aspect == "share"
    return contrast_shares(family) if counted else contrast(family)


def _signal(item: Contrast, class_id: int, q: float) -> Signal:
    statistic = item.estimates.statistic
    value, control = float(item.estimates.value[class_id]), float(item.control[class_id])
    return Signal(
        statistic=statistic,
        class_id=class_id,
        value=value,
        control=control,
        effect=_effect(statistic, value, control),
        z=float(item.z[class_id]),
        q=q,
        images=int(item.estimates.images[class_id]),
    )


def _effect(statistic: Statistic, value: float, control: float) -> float:
    if statistic.kind == "depth":
        return control - value
    if statistic.kind == "mass":
        return control / value
    if statistic.aspect == "share":
        return value / control
    return (value + QUIET_LIFT) / (control + QUIET_LIFT)


def _without_faint_places(signals: Sequence[Signal]) -> list[Signal]:
    """Leave out the places that get less than an even flow, by every statistic of theirs."""
    places = [signal for signal in signals if signal.statistic.kind in _PLACES]
    bright = {
        signal.statistic.column
        for signal in places
        if signal.statistic.aspect == "share" or signal.value >= EVEN
    }
    return [item for item in signals if item not in places or item.statistic.column in bright]


def _sufficient(signals: Sequence[Signal]) -> bool:
    """Return whether the signals of one class suffice for a shortcut."""
    if not signals:
        return False
    first = signals[0]
    return len(signals) > 1 or first.statistic.aspect == "share" or first.q <= ALONE_LIMIT


def _merge(signals: Sequence[Signal]) -> Shortcut:
    """Make the strongest signal the headline: a place before mass and depth, which name none.

    Where few images look there, so that no tail shows it, their share comes first.
    """
    shares = [signal.value for signal in signals if signal.statistic.aspect == "share"]
    tails = any(signal.statistic.aspect == "tail" for signal in signals)
    rare = bool(shares) and min(shares) < RARE and not tails

    def order(signal: Signal) -> tuple[bool, bool, float]:
        share = signal.statistic.aspect == "share"
        named = signal.statistic.kind in _PLACES
        return not named, share != rare, -signal.z

    headline, *others = sorted(signals, key=order)
    return Shortcut(headline, tuple(others))


def _mark_echo(shortcut: Shortcut, found: Sequence[Shortcut]) -> Shortcut:
    """Name the class that a shortcut echoes: one with a stronger shortcut at the same place.

    An image that looks almost only there, mass and depth are evidence of a shortcut of the class's
    own.
    """
    shares = any(signal.statistic.aspect == "share" for signal in shortcut.signals)
    if shortcut.severity == "high" or shares:
        return shortcut
    columns = set(shortcut.columns)
    for other in found:
        place = other.headline.statistic
        strong = other.severity == "high" and place.kind in _PLACES
        if strong and place.column in columns <= {place.column, LIFT_COLUMNS["border"]}:
            return replace(shortcut, source=other.headline.class_id)
    return shortcut


def _rank(shortcut: Shortcut) -> tuple[int, float, int]:
    strongest = max(signal.z for signal in shortcut.signals)
    return SEVERITIES.index(shortcut.severity), -strongest, shortcut.headline.class_id

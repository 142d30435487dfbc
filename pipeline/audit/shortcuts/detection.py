"""Shortcuts: a class whose images look at a place, or lack mass, as no other class does.

Every statistic of every class is tested against the other classes; the p-values of all of them
share one Benjamini–Hochberg correction. What is significant *and* large enough counts, and all
that speaks of one class becomes one finding. A model that has learnt to check a place for one class
checks it in images of others too: a weak finding about the place of a strong one is its echo.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.audit.finding import SEVERITIES
from pipeline.audit.stats.beta_binomial import contrast_shares
from pipeline.audit.stats.contrast import Contrast, benjamini_hochberg, contrast
from pipeline.audit.stats.estimates import QUIET_LIFT, Reading, Statistic

Q_LIMIT = 0.02
"""Largest false discovery rate of what is reported."""

ALONE_LIMIT = 0.001
"""Largest false discovery rate where one level or tail alone speaks of a class: a shortcut that is
common shows in several statistics. A share may stand alone, for a rare one shows nowhere else."""

EVEN = 1.0
"""Lift of an even flow. What gets less in nine of ten images, and on average, is not looked at, how
much less other classes may look at it."""

_PLACES = ("corner", "border")
_AROUND = "border_flow"

RARE = 0.1
"""Share of a class up to which a shortcut is a rare one."""


@dataclass(frozen=True)
class Signal:
    """A statistic in which one class stands out.

    ``effect`` compares value and control: how many times larger a lift is (both raised by
    ``QUIET_LIFT``), how many times smaller a mass, how many layers earlier a depth.
    """

    statistic: Statistic
    number: int
    value: float
    control: float
    effect: float
    z: float
    q: float
    images: int


@dataclass(frozen=True)
class Finding:
    """All that speaks of one class: the headline, and the signals that support it.

    ``leader`` is the class that looks at the same place far more, if this is only an echo of it.
    """

    headline: Signal
    supporting: tuple[Signal, ...]
    leader: int | None = None

    @property
    def kind(self) -> str:
        """``echo``, ``rare`` where few images carry it, else ``shortcut``."""
        if self.leader is not None:
            return "echo"
        return "rare" if self.headline.statistic.aspect == "share" else "shortcut"

    @property
    def severity(self) -> str:
        """``low`` of an echo; ``high`` where mechanisms agree or the effect is twice the least."""
        if self.leader is not None:
            return "low"
        kinds = {signal.statistic.kind for signal in (self.headline, *self.supporting)}
        places = kinds & set(_PLACES)
        large = self.headline.effect >= 2 * self.headline.statistic.effect
        return "high" if large or (places and kinds - set(_PLACES)) else "medium"


def find_shortcuts(readings: Sequence[Reading]) -> tuple[Finding, ...]:
    """Return one finding per class that stands out, the gravest first."""
    contrasts = [item for family in _families(readings) for item in _contrast(family)]
    if not contrasts:
        return ()
    q = benjamini_hochberg(np.stack([item.p for item in contrasts]))
    by_class: dict[int, list[Signal]] = {}
    for item, row in zip(contrasts, q, strict=True):
        for number in np.flatnonzero(row <= Q_LIMIT):
            signal = _signal(item, int(number), float(row[number]))
            if signal.effect >= signal.statistic.effect:
                by_class.setdefault(signal.number, []).append(signal)
    looked = [_looked_at(signals) for signals in by_class.values()]
    merged = sorted((_merge(signals) for signals in looked if _enough(signals)), key=_gravity)
    return tuple(sorted((_echo(finding, merged) for finding in merged), key=_gravity))


def _families(readings: Sequence[Reading]) -> list[list[Reading]]:
    """Group readings that are one question: the four corners, by aspect."""
    families: dict[tuple[str, str], list[Reading]] = {}
    for reading in readings:
        key = (reading.statistic.kind, reading.statistic.aspect)
        families.setdefault(key, []).append(reading)
    return list(families.values())


def _contrast(family: Sequence[Reading]) -> tuple[Contrast, ...]:
    shared = family[0].statistic.aspect == "share"
    return contrast_shares(family) if shared else contrast(family)


def _signal(item: Contrast, number: int, q: float) -> Signal:
    statistic = item.reading.statistic
    value, control = float(item.reading.value[number]), float(item.control[number])
    return Signal(
        statistic=statistic,
        number=number,
        value=value,
        control=control,
        effect=_effect(statistic, value, control),
        z=float(item.z[number]),
        q=q,
        images=int(item.reading.images[number]),
    )


def _effect(statistic: Statistic, value: float, control: float) -> float:
    if statistic.kind == "depth":
        return control - value
    if statistic.kind == "mass":
        return control / value
    if statistic.aspect == "share":
        return value / control
    return (value + QUIET_LIFT) / (control + QUIET_LIFT)


def _looked_at(signals: Sequence[Signal]) -> list[Signal]:
    """Leave out the places that get less than an even flow, by every statistic of theirs."""
    places = [signal for signal in signals if signal.statistic.kind in _PLACES]
    loud = {
        signal.statistic.column
        for signal in places
        if signal.statistic.aspect == "share" or signal.value >= EVEN
    }
    return [item for item in signals if item not in places or item.statistic.column in loud]


def _enough(signals: Sequence[Signal]) -> bool:
    if not signals:
        return False
    first = signals[0]
    return len(signals) > 1 or first.statistic.aspect == "share" or first.q <= ALONE_LIMIT


def _merge(signals: Sequence[Signal]) -> Finding:
    """Make the strongest signal the headline: a place before mass and depth, which name none.

    Where few images look there, and so no tail shows it, how many they are says most.
    """
    shares = [signal.value for signal in signals if signal.statistic.aspect == "share"]
    tails = any(signal.statistic.aspect == "tail" for signal in signals)
    rare = bool(shares) and min(shares) < RARE and not tails

    def order(signal: Signal) -> tuple[bool, bool, float]:
        share = signal.statistic.aspect == "share"
        named = signal.statistic.kind in _PLACES
        return not named, share != rare, -signal.z

    headline, *others = sorted(signals, key=order)
    return Finding(headline, tuple(others))


def _echo(finding: Finding, found: Sequence[Finding]) -> Finding:
    """Say which class leads, where all that speaks of another is weaker and of the same place.

    An image that looks almost only there, mass and depth speak for a shortcut of the class's own.
    """
    own = (finding.headline, *finding.supporting)
    if finding.severity == "high" or any(signal.statistic.aspect == "share" for signal in own):
        return finding
    columns = {signal.statistic.column for signal in own}
    for other in found:
        place = other.headline.statistic
        strong = other.severity == "high" and place.kind in _PLACES
        if strong and place.column in columns <= {place.column, _AROUND}:
            return replace(finding, leader=other.headline.number)
    return finding


def _gravity(finding: Finding) -> tuple[int, float, int]:
    strongest = max(signal.z for signal in (finding.headline, *finding.supporting))
    return SEVERITIES.index(finding.severity), -strongest, finding.headline.number

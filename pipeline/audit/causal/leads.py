"""Leads: corners that a few images of a class look at, too few to tell by counting.

Three images with a quarter of their flow in one corner may be chance, and in a large data set some
class always has them. What they have there can be pasted onto other images, though, and a tag that
a model uses draws those to the class while chance draws none. So a lead is no finding: it becomes
one when ``confirm`` has proven that it works.
"""

import numpy as np
import pyarrow as pa

from pipeline.atlas import Atlas
from pipeline.audit.causal.confirmation import Confirmation
from pipeline.audit.finding import Entry
from pipeline.audit.shortcuts.detection import Signal
from pipeline.audit.shortcuts.evidence import Evidence
from pipeline.audit.stats.beta_binomial import contrast_shares
from pipeline.audit.stats.estimates import CORNERS, Statistic, column_of, read
from pipeline.audit.text.numbers import percent, rate
from pipeline.audit.text.quoting import quote

LEADS = 16
"""Leads tested at most, the least likely by chance first; they share the error of one verdict."""

LEAST_LOOKING = 3
"""Images that look there below which their patch says nothing of the class."""

_STATISTICS = tuple(
    Statistic(column, "corner", place, "lead", upwards=True, effect=1.0)
    for column, place in CORNERS.items()
)


def find_leads(atlas: Atlas, findings: pa.Table, most: int = LEADS) -> tuple[Signal, ...]:
    """Return at most ``most`` leads that no finding speaks of, the least likely first.

    ``value`` is the share of images that look there, ``control`` the share that the other classes
    and the other corners of the class lead one to expect, ``q`` the uncorrected p-value.
    """
    known = {
        (row["class"], column_of(name))
        for row in findings.to_pylist()
        for name in (row["statistic"], *row["supporting"].split(", "))
    }
    read_here = [read(atlas, item) for item in _STATISTICS if item.column in atlas.columns]
    found = []
    for item in contrast_shares(read_here, LEAST_LOOKING) if read_here else ():
        column = item.reading.statistic.column
        for number in np.flatnonzero(item.p < 1):
            value, control = float(item.reading.value[number]), float(item.control[number])
            if value > control and (int(number), column) not in known:
                found.append(
                    Signal(
                        statistic=item.reading.statistic,
                        number=int(number),
                        value=value,
                        control=control,
                        effect=value / control,
                        z=float(item.z[number]),
                        q=float(item.p[number]),
                        images=int(item.reading.images[number]),
                    )
                )
    found.sort(key=lambda signal: (-signal.z, signal.number, signal.statistic.column))
    return tuple(found[:most])


def lead_entry(lead: Signal, tested: Confirmation, name: str, evidence: Evidence) -> Entry:
    """Return the finding that a proven lead becomes; ``evidence`` are the images that look there.

    It weighs less than what counting tells: ``medium`` if its use is proven, else ``low``.
    """
    return Entry(
        kind="lead",
        number=lead.number,
        statistic=lead.statistic.name,
        value=lead.value,
        control=lead.control,
        effect=lead.effect,
        z=lead.z,
        images=lead.images,
        severity="medium" if tested.verdict == "used" else "low",
        sentence=_SENTENCE.format(
            name=quote(name),
            place=lead.statistic.place,
            share=percent(lead.value),
            images=lead.images,
            expected=percent(lead.control),
            effect=rate(lead.effect),
        ),
        evidence=evidence[: round(lead.value * lead.images)],
    )


_SENTENCE = (
    "{name} has a few images that look at the {place}: {share} of {images} have a quarter of their "
    "flow there or more, where {expected} would be expected ({effect} times more). Too few to tell "
    "by counting, but what several of them have there draws other images to {name}; whether it is "
    "the object itself, the images show."
)

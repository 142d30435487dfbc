"""Leads: candidates too rare to prove by counting, tested by transplanting.

Three images of a class with a quarter of their flow in one corner may be chance, and in a large
data set some class always has them. But what they have there can be pasted onto other images: a tag
that the model uses makes it predict the class, and chance does not. So a lead is no finding: it
becomes one when ``confirm`` has proven that it works.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.atlas import Atlas
from pipeline.audit.causal.confirmation import Confirmation
from pipeline.audit.finding import Finding
from pipeline.audit.places import PLACES
from pipeline.audit.shortcuts.detection import Signal
from pipeline.audit.shortcuts.evidence import Evidence
from pipeline.audit.stats.beta_binomial import contrast_shares
from pipeline.audit.stats.estimates import corner_statistics, estimate
from pipeline.audit.text.numbers import percent
from pipeline.audit.text.quoting import quote
from pipeline.nouns import agreeing, counted

LEADS = 16
"""Most leads that are tested, the least likely by chance first; they share the error of one
verdict."""

LEAST_LOOKING = 3
"""Images that look there below which their patches say nothing about the class."""

_STATISTICS = corner_statistics("lead", 1.0)


def find_leads(atlas: Atlas, findings: Sequence[Finding], most: int = LEADS) -> tuple[Signal, ...]:
    """Return at most ``most`` leads that no finding covers, the least likely by chance first.

    ``value`` is the share of images that look there, ``control`` the share that the other classes
    and the other corners of the class lead one to expect, ``q`` the uncorrected p-value.
    """
    known = {(finding.class_id, column) for finding in findings for column in finding.columns}
    family = [estimate(atlas, item) for item in _STATISTICS if item.column in atlas.columns]
    found = []
    for item in contrast_shares(family, LEAST_LOOKING) if family else ():
        estimates = item.estimates
        for class_id in np.flatnonzero(item.p < 1).tolist():
            value, control = float(estimates.value[class_id]), float(item.control[class_id])
            if value > control and (class_id, estimates.statistic.column) not in known:
                found.append(
                    Signal(
                        statistic=estimates.statistic,
                        class_id=class_id,
                        value=value,
                        control=control,
                        effect=value / control,
                        z=float(item.z[class_id]),
                        q=float(item.p[class_id]),
                        images=int(estimates.images[class_id]),
                    )
                )
    found.sort(key=lambda signal: (-signal.z, signal.class_id, signal.statistic.column))
    return tuple(found[:most])


def lead_finding(lead: Signal, tested: Confirmation, name: str, evidence: Evidence) -> Finding:
    """Return the finding that a proven lead becomes; ``evidence`` are the images that look there.

    It is less severe than what counting proves: ``medium`` if its use is proven, else ``low``.
    """
    place, carriers = lead.statistic.place, round(lead.value * lead.images)
    return Finding(
        kind="lead",
        class_id=lead.class_id,
        class_name=name,
        statistic=lead.statistic.name,
        columns=(lead.statistic.column,),
        place=place,
        value=lead.value,
        control=lead.control,
        effect=lead.effect,
        z=lead.z,
        images=lead.images,
        carriers=carriers,
        severity="medium" if tested.verdict == "used" else "low",
        sentence=_SENTENCE.format(
            name=quote(name),
            place=PLACES[place] if place else "",
            carriers=f"{carriers:,}",
            images=counted(lead.images, "image"),
            look=agreeing(carriers, "looks", "look"),
            expected=percent(lead.control),
        ),
        evidence=evidence[:carriers],
    )


_SENTENCE = (
    "{carriers} of {images} of {name} {look} at the {place}: a quarter of their flow or more "
    "is there, where {expected} would be expected. Too few to prove by counting, but pasting what "
    "several of them have there makes other images {name}; look at the images to see whether it is "
    "the object itself."
)

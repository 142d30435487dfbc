"""Quality gates: can the numbers of the run be trusted before its findings are read?"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from pipeline.audit.sanity import BASELINES, SANITY
from pipeline.audit.shortcuts.sensitivity import REACH, reach_sentence
from pipeline.audit.stats.contrast import LEAST_CLASSES
from pipeline.audit.stats.estimates import LEAST_IMAGES
from pipeline.report.pages.overview import ClassFacts, RunFacts
from pipeline.store import Run

MOST_QUARANTINED = 0.01
MOST_WITHOUT_MASS = 0.01


@dataclass(frozen=True)
class Gate:
    """One check: ``passed`` is None where nothing is asked of it."""

    title: str
    sentence: str
    passed: bool | None


def read_gates(run: Run, facts: RunFacts, classes: tuple[ClassFacts, ...]) -> tuple[Gate, ...]:
    """Return the gates of a run; without baselines a line that says how to get them."""
    rows = facts.images + facts.quarantined
    share = facts.quarantined / rows if rows else 0.0
    empty = sum(fact.no_mass for fact in classes)
    judged = sum(fact.images - fact.no_mass >= LEAST_IMAGES for fact in classes)
    gates = [
        Gate(
            "Quarantine",
            f"{facts.quarantined:,} of {rows:,} images could not be used.",
            share <= MOST_QUARANTINED,
        ),
        Gate(
            "Mass",
            f"{empty:,} of {facts.images:,} images have a flow without any mass.",
            empty <= MOST_WITHOUT_MASS * facts.images,
        ),
        Gate(
            "Comparison",
            f"{judged:,} of {len(classes):,} classes have the {LEAST_IMAGES} images from which "
            f"shortcuts are looked for; at least {LEAST_CLASSES} such classes are needed.",
            judged >= LEAST_CLASSES,
        ),
    ]
    if run.exists(REACH):
        gates.append(Gate("Reach", reach_sentence(run.table(REACH)), None))
    if run.exists(SANITY):
        gates += [
            _baseline(entry)
            for entry in run.table(SANITY).to_pylist()
            if entry["rank_correlation"] is not None and isfinite(entry["rank_correlation"])
        ]
    else:
        how = "Not computed; flowatlas audit RUN does it where model and images are at hand."
        gates.append(Gate("Baselines", how, None))
    return tuple(gates)


def _baseline(entry: Mapping[str, Any]) -> Gate:
    title = BASELINES[entry["baseline"]]
    said = entry["sentence"].removeprefix(f"{title}: ")
    return Gate(title, said[:1].upper() + said[1:], entry["passed"])

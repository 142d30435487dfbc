"""Checks: can the numbers of the run be trusted before its findings are read?"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from pipeline.atlas import Atlas
from pipeline.audit.baselines import BASELINES
from pipeline.audit.findings_table import SANITY
from pipeline.audit.shortcuts.sensitivity import REACH, sensitivity_sentence
from pipeline.audit.stats.contrast import LEAST_CLASSES
from pipeline.audit.stats.estimates import LEAST_IMAGES
from pipeline.audit.weighting import weights_sentence
from pipeline.nouns import part_of
from pipeline.report.pages.classes import ClassFacts
from pipeline.report.pages.facts import RunFacts
from pipeline.store import Run

MOST_QUARANTINED = 0.01
MOST_WITHOUT_MASS = 0.01


@dataclass(frozen=True)
class Check:
    """One check: ``passed`` is None where it is for information only."""

    title: str
    sentence: str
    passed: bool | None


def read_checks(
    run: Run, atlas: Atlas, facts: RunFacts, classes: tuple[ClassFacts, ...]
) -> tuple[Check, ...]:
    """Return the checks of a run; without baselines a line that says how to get them."""
    rows = facts.images + facts.quarantined
    share = facts.quarantined / rows if rows else 0.0
    empty = sum(fact.no_mass for fact in classes)
    judged = sum(not fact.few for fact in classes)
    checks = [
        Check(
            "Quarantine",
            f"{part_of(facts.quarantined, rows, 'image')} could not be used.",
            share <= MOST_QUARANTINED,
        ),
        Check(
            "Mass",
            f"{empty:,} of {facts.rows:,} {'images' if facts.labels is None else 'rows'} have a "
            "flow without any mass.",
            empty <= MOST_WITHOUT_MASS * facts.rows,
        ),
        Check(
            "Comparison",
            f"{part_of(judged, len(classes), 'class')} have the {LEAST_IMAGES} images that a "
            f"class needs to be compared; at least {LEAST_CLASSES} such classes are needed.",
            judged >= LEAST_CLASSES,
        ),
    ]
    if sentence := weights_sentence(atlas):
        checks.append(Check("Weights", f"{sentence[:1].upper()}{sentence[1:]}.", None))
    if run.exists(REACH):
        checks.append(Check("Detection sensitivity", sensitivity_sentence(run.table(REACH)), None))
    if run.exists(SANITY):
        checks += [
            _baseline(entry)
            for entry in run.table(SANITY).to_pylist()
            if entry["rank_correlation"] is not None and isfinite(entry["rank_correlation"])
        ]
    else:
        how = "Not computed; run flowatlas audit where the model and the images can be read."
        checks.append(Check("Baselines", how, None))
    return tuple(checks)


def _baseline(entry: Mapping[str, Any]) -> Check:
    title = BASELINES[entry["baseline"]]
    sentence = entry["sentence"].removeprefix(f"{title}: ")
    return Check(title, sentence[:1].upper() + sentence[1:], entry["passed"])

"""Quality gates: can the numbers of the run be trusted before its findings are read?"""

from dataclasses import dataclass
from math import isfinite

from pipeline.audit.sanity import SANITY
from pipeline.report.contents import ClassFacts, RunFacts
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
    """Return the gates of a run; the baselines only where its audit computed them."""
    rows = facts.images + facts.quarantined
    share = facts.quarantined / rows if rows else 0.0
    empty = sum(fact.no_mass for fact in classes)
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
    ]
    if run.exists(SANITY):
        gates += [
            Gate("Baseline", entry["sentence"], entry["passed"])
            for entry in run.table(SANITY).to_pylist()
            if entry["rank_correlation"] is not None and isfinite(entry["rank_correlation"])
        ]
    return tuple(gates)

"""Where is each planted artefact lost by screening, and how long did the classes take?

``python -m tests.bench.bench_stages FOLDER …`` with folders that ``bench_photographs`` has planted
and whose flows, classes and audit are there. Nothing is written into them.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.atlas import choose_atlas
from pipeline.audit.screening.candidate import Candidate
from pipeline.audit.screening.effort import effort
from pipeline.audit.screening.examination import Examined
from pipeline.audit.screening.judgement import Judged, judge
from pipeline.audit.screening.proposals import CLEAR, proposed
from pipeline.audit.screening.screen import KINDS, best, examined
from pipeline.audit.screening.selection import screened, select_images
from pipeline.audit.screening.survey import surveyed
from pipeline.audit.stats.intervals import Rate
from pipeline.engine import LocalEngine
from pipeline.store import Run, open_run
from tests.bench.scored_photographs import is_right, planted_in
from tests.bench.simple_looks import Planted

_MOSTLY = 0.5
"""Share of a group that truly carries an artefact, from which it is a group of carriers."""


def lost_at(
    plant: Planted,
    proposals: Sequence[Candidate],
    followed: Sequence[Candidate],
    tested: Sequence[Examined],
    judged: Sequence[Judged],
) -> str:
    """Return the stage at which an artefact is lost, with the numbers that decided."""
    own = [item for item in proposals if item.class_id == plant.label]
    mine = [item for item in own if _carried(item.carriers, plant) >= _MOSTLY]
    if not mine:
        return "proposal: no group of carriers among " + (_listed(own, plant) or "none")
    if not any(item in followed for item in mine):
        few = ", none raises the logit" if max(item.gain for item in mine) <= CLEAR else ""
        return f"potency: {_listed(mine, plant)}{few}"
    there = [item for item in tested if item.candidate in mine]
    if not there:
        return f"controls: no first recipient turned by {_listed(mine, plant)}"
    said = [item for item in judged if item.examined in there]
    short = [item for item in said if item.word == "shortcut"]
    if not short:
        return "verdict: " + "; ".join(_reasons(item) for item in said)
    right = [item for item in short if _named(item, plant)]
    return (
        f"found, {right[0].verdict}: " + _reasons(right[0])
        if right
        else ("name: " + "; ".join(_reasons(item) for item in short))
    )


def _carried(rows: Sequence[int], plant: Planted) -> float:
    return sum(row in plant.rows for row in rows) / len(rows) if rows else 0.0


def _listed(items: Sequence[Candidate], plant: Planted) -> str:
    return ", ".join(
        f"{item.part} ({sum(row in plant.rows for row in item.carriers)} of {len(item.carriers)}, "
        f"gain {item.gain:.1f}, p {item.chance:.1g})"
        for item in items
    )


def _named(item: Judged, plant: Planted) -> bool:
    found = {"named": item.examined.candidate.part, "rows": item.examined.carriers}
    return is_right(found, plant)


def _reasons(item: Judged) -> str:
    found = item.examined
    return (
        f"{found.candidate.part} {item.word} {item.verdict}, {len(found.carriers)} carriers, "
        f"pasted {_rate(found.pasted)}, halves {_rate(found.rest)}, others "
        f"{_rate(found.others)}, random {_rate(found.random)}, q "
        f"{item.q:.1g}, alike {item.alike:.1g}, covers {found.covers:.2f}"
    )


def _rate(found: Rate) -> str:
    return f"{found.value:.2f}" if found.images else "–"


def stages(folder: Path, run: Run) -> None:
    """Screen a planted model and print a line for every artefact, and for what else is accused."""
    began = time.process_time()
    selection = select_images(run, choose_atlas(run).table)
    classes = screened(selection)
    engine = LocalEngine()
    numbers = surveyed(run, engine, selection, lambda: None)
    after_survey = time.process_time()
    proposals = proposed(run, engine, selection, numbers, lambda: None)
    after_proposals = time.process_time()
    followed = best(proposals, effort(len(classes)).last)
    tested = examined(run, engine, selection, followed, len(classes) * KINDS, lambda: None)
    judged = judge(tested, len(classes) * KINDS)
    ended = time.process_time()
    print(
        f"\n{folder.name}: {len(classes)} classes, CPU {ended - began:.0f} s: survey "
        f"{after_survey - began:.0f}, proposals {after_proposals - after_survey:.0f}, last round "
        f"{ended - after_proposals:.0f} of {len(followed)} groups"
    )
    plants = planted_in(folder, run)
    for plant in plants:
        where = lost_at(plant, proposals, followed, tested, judged)
        print(f"  {plant.kind}, {plant.flips:.1%}, {len(plant.rows)} carriers: {where}", flush=True)
    used = {plant.label for plant in plants if plant.used}
    for item in judged:
        accused = item.examined.candidate.class_id
        if accused not in used and item.word in ("shortcut", "unclear"):
            print(f"  without an artefact, {run.spec.classes[accused]}: {_reasons(item)}")


def main() -> None:
    """Screen planted models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    for folder in parser.parse_args().folders:
        stages(folder, open_run(str(folder / "run")))


if __name__ == "__main__":
    main()

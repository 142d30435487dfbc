"""Scores of planted models as Markdown."""

from collections.abc import Sequence

from pipeline.audit.stats.intervals import Rate
from tests.bench.scored_photographs import Score
from tests.bench.simple_looks import Answer, Planted

APPROACHES = ("audit", "with properties", "maps alone", "potency alone", "class means", "clusters")

STRENGTHS = ((0.2, 1.01, "20 % or more"), (0.05, 0.2, "5 to 20 %"), (-0.01, 0.05, "less"))
"""Shares of images that artefacts turn."""

_COLUMNS = ("approach", *(f"found, turns {words}" for _, _, words in STRENGTHS))
_LATER = (
    "names it, of those found",
    "*used*, of those found that turn 5 %",
    "classes accused wrongly",
)


def report(scores: Sequence[Score]) -> str:
    """Return a table of approaches, one of all artefacts, and what is said of clean classes."""
    columns = (*_COLUMNS, *_LATER)
    lines = [_line(columns), "| --- " * len(columns) + "|"]
    lines += [_line(_approach(name, scores)) for name in APPROACHES]
    columns = ("model", "artefact", "turns", "carriers", "found", "named", "verdict", "maps alone")
    lines += ["", _line(columns), "| --- " * len(columns) + "|"]
    lines += [
        _line(_artefact(item.case, planted, {answer.approach: answer for answer in answers}))
        for item in scores
        for planted, answers in zip(item.plants, item.answers, strict=True)
    ]
    told = [f"- {item.case}: {said}" for item in scores for said in item.false["with properties"]]
    return "\n".join([*lines, "", "Of classes without an artefact:", *(told or ["- nothing"])])


def _approach(name: str, scores: Sequence[Score]) -> list[str]:
    pairs = [
        (planted, next(answer for answer in answers if answer.approach == name))
        for item in scores
        for planted, answers in zip(item.plants, item.answers, strict=True)
    ]
    cells = [name]
    for low, high, _ in STRENGTHS:
        cells.append(_rate([said.found for planted, said in pairs if low <= planted.flips < high]))
    cells.append(_rate([said.right for _, said in pairs if said.found]))
    tested = [said for planted, said in pairs if planted.flips >= 0.05 and said.verdict]
    cells.append(_rate([said.verdict == "used" for said in tested]))
    if name not in scores[0].false:
        return [*cells, "–"]
    wrong = sum(item.accused[name] for item in scores)
    classes = sum(item.classes for item in scores)
    return [*cells, _rate([True] * wrong + [False] * (classes - wrong))]


def _artefact(case: str, planted: Planted, said: dict[str, Answer]) -> list[str]:
    ours = said["with properties"]
    return [
        *(case, planted.kind, f"{planted.flips:.1%}", str(len(planted.rows))),
        *("yes" if ours.found else "–", "yes" if ours.right else "–", ours.verdict or "–"),
        "yes" if said["maps alone"].found else "–",
    ]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _rate(hits: Sequence[bool]) -> str:
    low, high = Rate(sum(hits), len(hits)).interval
    return f"{sum(hits)} of {len(hits)} ({low:.0%} to {high:.0%})" if hits else "–"

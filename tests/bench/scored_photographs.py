"""What an audit, and parts of it alone, say of a planted model, against its truth."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.audit.findings_table import CONFIRMATIONS, EVIDENCE
from pipeline.store import Run
from tests.bench.simple_looks import Answer, Box, Planted, look

SCREENING = "audit/screening.parquet"
MAPS = ("shortcut", "rare")
"""Kinds of findings that rest on maps alone."""
FOUND = (*MAPS, "lead", "screened")
"""Kinds of findings that say that a model may use something that it should not."""

_OUTER = {f"block_{y}{x}" for y in range(4) for x in range(4) if not (0 < y < 3 and 0 < x < 3)}
_EDGES = {"border", "ring", "ends", "sides", "top", "bottom", "left", "right", "border_brightness"}
_EDGES |= {"border_variation", *_OUTER, "tl", "tr", "bl", "br"}
_NAMES = {
    "edges": _EDGES,
    "colour": {"colours", "brightness", "contrast", "saturation"},
    "brightness": {"colours", "brightness", "contrast"},
    "texture": {"lines", "noise", "detail", "sharpness"},
    "compression": {"compression", "detail", "sharpness", "quality"},
    "sharpness": {"detail", "sharpness", "contrast"},
    "scale": {"margin", "sharpness", *_EDGES},
}
"""Where an artefact is → the places, operators and properties that name it."""

_PLACES: dict[str, Box] = {
    "tl": (0, 0, 0.25, 0.25),
    "tr": (0.75, 0, 1, 0.25),
    "bl": (0, 0.75, 0.25, 1),
    "br": (0.75, 0.75, 1, 1),
    "top": (0, 0, 1, 0.25),
    "bottom": (0, 0.75, 1, 1),
    "left": (0, 0, 0.25, 1),
    "right": (0.75, 0, 1, 1),
    "centre": (0.25, 0.25, 0.75, 0.75),
    "middle": (0, 0.25, 1, 0.75),
    "column": (0.25, 0, 0.75, 1),
} | {
    f"block_{y}{x}": (x / 4, y / 4, x / 4 + 0.25, y / 4 + 0.25) for y in range(4) for x in range(4)
}


@dataclass(frozen=True)
class Score:
    """All answers to one planted model."""

    case: str
    plants: tuple[Planted, ...]
    answers: tuple[tuple[Answer, ...], ...]
    """Of every planted artefact, in the order of ``plants``."""
    false: dict[str, list[str]]
    """Approach → what it says of classes without an artefact of their own."""
    accused: dict[str, int]
    """Approach → how many of these classes it says something of."""
    classes: int
    """How many there are."""


def score(folder: Path, run: Run, gradcam: Run | None = None) -> Score:
    """Score the audit of a planted model in ``folder``, and simple looks at its maps."""
    plants = [planted for planted in planted_in(folder, run) if planted.used]
    used = {planted.label for planted in plants}
    looks = {
        "audit": _findings(run, FOUND),
        "with properties": _findings(run, (*FOUND, "property")),
        "maps alone": _findings(run, MAPS),
        "potency alone": _potent(run),
    }
    others = {
        name: [item for item in found if item["class"] not in used] for name, found in looks.items()
    }
    return Score(
        case=folder.name,
        plants=tuple(plants),
        answers=tuple(
            (
                *(_answer(name, planted, found) for name, found in looks.items()),
                *look(run, gradcam or run, planted, len(used)),
            )
            for planted in plants
        ),
        false={
            name: [f"{item['kind']} {item['class_name']} {item['named']}" for item in found]
            for name, found in others.items()
        },
        accused={name: len({item["class"] for item in found}) for name, found in others.items()},
        classes=len(run.spec.classes) - len(used),
    )


def planted_in(folder: Path, run: Run) -> list[Planted]:
    """Return what ``bench_photographs`` has planted into a folder, with the rows of its run."""
    truth = json.loads((folder / "truth.json").read_text())
    with (folder / "carriers.csv").open(newline="", encoding="utf-8") as file:
        carriers = list(csv.DictReader(file))
    index = run.index()
    row_of = dict(zip(index["uri"].to_pylist(), index["row"].to_pylist(), strict=True))
    return [
        Planted(
            label=item["label"],
            kind=item["artefact"]["kind"],
            where=item["where"],
            boxes=tuple(tuple(box) for box in item["boxes"]),
            flips=item["effect"]["flips"],
            rows=frozenset(row_of[c["file"]] for c in carriers if int(c["planting"]) == number),
            used=item["carriers"] == "class",
        )
        for number, item in enumerate(truth["plantings"])
    ]


def _findings(run: Run, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Return findings of some kinds with what they name, their verdict and the images they show."""
    evidence: dict[int, list[int]] = {}
    for item in run.table(EVIDENCE).to_pylist():
        evidence.setdefault(item["finding"], []).append(item["row"])
    verdicts = {}
    if run.exists(CONFIRMATIONS):
        verdicts = {row["finding"]: row["verdict"] for row in run.table(CONFIRMATIONS).to_pylist()}
    parts = {}
    if run.exists(SCREENING):
        rows = run.table(SCREENING).to_pylist()
        parts = {(row["class"], row["part"]): row["verdict"] for row in rows}
    return [
        {
            "kind": row["kind"],
            "class": row["class"],
            "class_name": row["class_name"],
            "named": row["place"] or row["statistic"],
            "verdict": verdicts.get(row["finding"]) or parts.get((row["class"], row["place"])),
            "rows": evidence.get(row["finding"], []),
        }
        for row in run.findings().to_pylist()
        if row["kind"] in kinds
    ]


def _potent(run: Run) -> list[dict[str, Any]]:
    """Return every part that turns images at all, whatever else is known of it."""
    rows = run.table(SCREENING).to_pylist() if run.exists(SCREENING) else []
    return [
        {
            "kind": "potent",
            "class": row["class"],
            "class_name": row["class_name"],
            "named": row["part"],
            "verdict": row["verdict"],
            "rows": row["carrier_rows"],
        }
        for row in rows
        if row["word"] != "nothing"
    ]


def _answer(approach: str, plant: Planted, found: Sequence[dict[str, Any]]) -> Answer:
    own = [item for item in found if item["class"] == plant.label]
    if not own:
        return Answer(approach, found=False)
    own.sort(key=lambda item: not is_right(item, plant))
    best = own[0]
    return Answer(
        approach,
        found=True,
        right=is_right(best, plant),
        verdict=best["verdict"],
        carried=_carried(best["rows"], plant),
    )


def is_right(item: dict[str, Any], plant: Planted) -> bool:
    """Return whether a finding names the artefact: its region, or its operator.

    What has no place of its own is named by the images that carry it.
    """
    if plant.where == "varying":
        return (_carried(item["rows"], plant) or 0) > 0.5
    if plant.where == "fixed":
        place = _PLACES.get(item["named"])
        border = item["named"] in ("border", "ring")
        return any(
            _outermost(box) if border else place is not None and _meets(place, box)
            for box in plant.boxes
        )
    return item["named"] in _NAMES[plant.where]


def _meets(place: Box, box: Box) -> bool:
    """Return whether a place holds a quarter of a box."""
    width = min(place[2], box[2]) - max(place[0], box[0])
    height = min(place[3], box[3]) - max(place[1], box[1])
    area = (box[2] - box[0]) * (box[3] - box[1])
    return width > 0 and height > 0 and width * height >= 0.25 * area


def _outermost(box: Box) -> bool:
    """Return whether most of a box lies in the outermost fourteenth of the image."""
    edge = 1 / 14
    x0, y0, x1, y1 = box
    inner = max(0.0, min(x1, 1 - edge) - max(x0, edge)) * max(
        0.0, min(y1, 1 - edge) - max(y0, edge)
    )
    return inner < 0.5 * (x1 - x0) * (y1 - y0)


def _carried(rows: Sequence[int], plant: Planted) -> float | None:
    return float(np.mean([row in plant.rows for row in rows])) if rows else None

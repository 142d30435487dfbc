"""Rows with a page of their own: every image that the report shows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from pipeline.atlas import CONFIDENT_MASS, Atlas
from pipeline.audit.finding import Finding
from pipeline.report.pages.measures import Measurement, Span, measure, read_spans, whole_columns
from pipeline.report.pages.quantiles import Quantiles
from pipeline.store import Run, Status

_HEAD = ("row", "status", "reason", "label", "pred", "target", "width", "height")


@dataclass(frozen=True)
class Occurrence:
    """A finding that a row is evidence of, at ``rank`` of ``images`` shown, from 1."""

    finding: Finding
    rank: int
    images: int


@dataclass(frozen=True)
class Row:
    """One image; None where something is not known."""

    number: int
    reason: str | None
    """Why it was quarantined."""
    label: int | None
    predicted: int | None
    target: int | None
    """What its flow explains."""
    class_id: int | None
    """The class whose images it is compared with."""
    size: tuple[int, int] | None
    """Width and height of the image as it is stored."""
    split: str | None
    evidence: tuple[Occurrence, ...]
    """The most severe finding first."""
    measures: tuple[Measurement, ...]
    """Those that its findings rest on first; none of a quarantined row."""


def read_rows(
    run: Run,
    atlas: Atlas,
    quantiles: Quantiles,
    findings: Sequence[Finding],
    others: Iterable[int] = (),
) -> dict[int, Row]:
    """Return the evidence of ``findings`` by row, in their order, and after it ``others``."""
    shown: dict[int, list[Occurrence]] = {}
    for finding in findings:
        for rank, row in enumerate(finding.rows, 1):
            shown.setdefault(row, []).append(Occurrence(finding, rank, len(finding.rows)))
    for row in sorted(set(others) - shown.keys()):
        shown[row] = []
    if not shown:
        return {}
    whole = whole_columns(atlas.columns)
    named = [name for finding in findings for name in named_columns(finding, atlas.columns)]
    columns = tuple(dict.fromkeys([*whole, *named]))
    wanted = list(dict.fromkeys([*_HEAD, *columns]))
    found = run.summary().to_table(columns=wanted, filter=pc.field("row").isin(list(shown)))
    entries = {entry["row"]: entry for entry in found.to_pylist()}
    splits = dict(zip(sorted(shown), run.index_take(shown)["split"].to_pylist(), strict=True))
    by = "label" if atlas.table == "label" else "pred"
    classes = {entry[by] for entry in entries.values()} & set(atlas.classes.tolist())
    measures = _Measures(atlas.columns, whole, read_spans(quantiles, columns, sorted(classes)))
    return {
        row: _row(entries[row], by, splits[row], evidence, measures)
        for row, evidence in shown.items()
    }


def named_columns(finding: Finding, columns: Mapping[str, str]) -> tuple[str, ...]:
    """Return the columns of the summary that a finding was read from, the headline's first."""
    read = ("mass_flow" if name == CONFIDENT_MASS else name for name in finding.columns)
    return tuple(name for name in dict.fromkeys(read) if name in columns)


@dataclass(frozen=True)
class _Measures:
    """What is measured of every row, and of the classes."""

    kinds: Mapping[str, str]
    """Column → kind."""
    whole: Sequence[str]
    spans: Mapping[tuple[str, int], Span]


def _row(
    entry: Mapping[str, Any],
    by: str,
    split: str | None,
    evidence: Sequence[Occurrence],
    measures: _Measures,
) -> Row:
    used = entry["status"] == Status.OK
    width, height = entry["width"], entry["height"]
    return Row(
        number=entry["row"],
        reason=None if used else entry["reason"],
        label=entry["label"],
        predicted=entry["pred"],
        target=entry["target"],
        class_id=entry[by],
        size=(width, height) if width and height else None,
        split=split,
        evidence=tuple(evidence),
        measures=_measured(entry, entry[by], evidence, measures) if used else (),
    )


def _measured(
    entry: Mapping[str, Any],
    number: int | None,
    evidence: Sequence[Occurrence],
    measures: _Measures,
) -> tuple[Measurement, ...]:
    named: dict[str, list[int]] = {}
    for item in evidence:
        for name in named_columns(item.finding, measures.kinds):
            named.setdefault(name, []).append(item.finding.number)
    return tuple(
        measure(
            column,
            measures.kinds[column],
            entry[column],
            measures.spans.get((column, number), Span()) if number is not None else Span(),
            tuple(named.get(column, ())),
        )
        for column in dict.fromkeys([*named, *measures.whole])
    )

"""Suspects: the images worth a second look, as CSV to act on; whole, by finding and by class."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.audit.finding import Finding
from pipeline.audit.formats import as_csv
from pipeline.audit.text.names import short_names
from pipeline.store import Run, Status

FOLDER = "report/data/suspects"
WHOLE = "report/data/suspects.csv"
SURE = 0.9
"""Confidence from which a wrong answer is suspect: of the label, or of the image."""


def suspects_table(run: Run, findings: Sequence[Finding]) -> pa.Table:
    """Return a row per image and reason: row, uri, label, prediction, confidence, reason, finding.

    Reasons are findings, in their order, and then wrong answers of which the model is sure, the
    surest first; ``finding`` is null for these. A column ``class`` is that of the label, or of the
    prediction where no image is labelled.
    """
    reasons: list[tuple[int, str, int | None]] = [
        (row, f"{found.kind.replace('_', ' ')}: {found.statistic}", found.number)
        for found in findings
        for row in found.rows
    ]
    columns = ["row", "label", "pred", "confidence", "correct"]
    sure = pc.field("confidence") >= SURE
    if run.spec.multi_label:  # a label that is missed has a low score
        sure |= pc.field("label").is_valid() & (pc.field("confidence") <= 1 - SURE)
    wrong = run.summary().to_table(
        columns=columns,
        filter=(pc.field("status") == int(Status.OK)) & ~pc.field("correct") & sure,
    )
    wrong = wrong.sort_by([("confidence", "descending"), ("row", "ascending")])
    reasons += [(row, "sure and wrong", None) for row in wrong["row"].to_pylist()]
    rows = sorted({row for row, _, _ in reasons})
    known = run.summary().to_table(columns=columns, filter=pc.field("row").isin(rows)).to_pylist()
    entries = {entry["row"]: entry for entry in known}
    uris = dict(zip(rows, run.index_take(rows)["uri"].to_pylist(), strict=True))
    names = short_names(run.spec.classes)

    def name(number: int | None) -> str | None:
        return names[number] if number is not None and 0 <= number < len(names) else None

    lines = [
        {
            "row": row,
            "uri": uris[row],
            "label": name(entries[row]["label"]),
            "prediction": name(entries[row]["pred"]),
            "confidence": entries[row]["confidence"],
            "reason": reason,
            "finding": finding,
            "class": entries[row]["pred" if entries[row]["label"] is None else "label"],
        }
        for row, reason, finding in reasons
    ]
    return pa.Table.from_pylist(lines, schema=_SCHEMA)


_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("uri", pa.string()),
        ("label", pa.string()),
        ("prediction", pa.string()),
        ("confidence", pa.float32()),
        ("reason", pa.string()),
        ("finding", pa.int32()),
        ("class", pa.int32()),
    ]
)


def suspects_files(table: pa.Table) -> Iterator[tuple[str, bytes]]:
    """Yield the CSV of all suspects, of every finding, and of every class, with their paths."""
    shown = table.drop_columns(["class"])
    yield WHOLE, _csv(shown)
    for column in ("finding", "class"):
        for number in sorted(set(table[column].drop_null().to_pylist())):
            part = shown.filter(pc.equal(table[column], number))
            yield f"{FOLDER}/{column}-{number}.csv", _csv(part)


def _csv(table: pa.Table) -> bytes:
    return (as_csv(table) + "\n").encode("utf-8", "replace")

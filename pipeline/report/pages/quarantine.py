"""The quarantined images of a run by reason."""

from dataclasses import dataclass

import pyarrow.compute as pc

from pipeline.audit.multi_label.images import first_rows
from pipeline.images.reasons import explain
from pipeline.store import Run, Status

_EXAMPLES = 3  # images named per reason


@dataclass(frozen=True)
class Quarantine:
    """Images that could not be used for one reason."""

    reason: str
    explanation: str
    images: int
    examples: tuple[str, ...]


def read_quarantine(run: Run) -> tuple[Quarantine, ...]:
    """Return the quarantined images by reason, the most frequent first."""
    image = ["image"] if run.spec.multi_label else []
    unusable = run.summary().to_table(
        columns=["row", "reason", *image],
        filter=pc.field("status") == int(Status.QUARANTINED),
    )
    if image:
        unusable = first_rows(unusable.sort_by("row"))
    rows: dict[str, list[int]] = {}
    for row, reason in zip(*(unusable.column(i).to_pylist() for i in (0, 1)), strict=True):
        rows.setdefault(reason or "unknown", []).append(row)
    examples = {reason: sorted(found)[:_EXAMPLES] for reason, found in rows.items()}
    named = run.index_take(row for some in examples.values() for row in some)
    uris = dict(zip(named["row"].to_pylist(), named["uri"].to_pylist(), strict=True))
    return tuple(
        Quarantine(
            reason=reason,
            explanation=explain(reason),
            images=len(found),
            examples=tuple(uris[row] for row in examples[reason]),
        )
        for reason, found in sorted(rows.items(), key=lambda item: (-len(item[1]), item[0]))
    )

"""What is written under a picture: what the model said about the image, and which file it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from pipeline.store import Run


@dataclass(frozen=True)
class Caption:
    """What is known about a row; None where it is not known."""

    row: int
    uri: str
    label: str | None
    predicted: str | None
    confidence: float | None
    correct: bool | None


def read_captions(run: Run, rows: Iterable[int]) -> dict[int, Caption]:
    """Return the captions of ``rows``, by row."""
    names, wanted = run.spec.classes, sorted(set(rows))
    uris = dict(zip(wanted, run.index_take(wanted)["uri"].to_pylist(), strict=True))
    found = run.summary().to_table(
        columns=["row", "label", "pred", "confidence", "correct"],
        filter=pc.field("row").isin(wanted),
    )
    return {
        entry["row"]: Caption(
            row=entry["row"],
            uri=uris[entry["row"]],
            label=_name(names, entry["label"]),
            predicted=_name(names, entry["pred"]),
            confidence=entry["confidence"],
            correct=entry["correct"],
        )
        for entry in found.to_pylist()
    }


def _name(names: Sequence[str], index: int | None) -> str | None:
    if index is None:
        return None
    return names[index] if 0 <= index < len(names) else f"class {index}"

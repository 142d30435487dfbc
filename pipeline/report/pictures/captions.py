"""The caption of a picture: the model's answer, the label and the file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from pipeline.audit.text.names import short_names
from pipeline.store import Run


@dataclass(frozen=True)
class Caption:
    """What is known about a row; None where it is not known.

    Of images with several labels, ``label`` are all of them, ``predicted`` is the output that the
    row explains, and ``mistake`` is ``missed`` or ``not labelled`` where that is wrong.
    """

    row: int
    uri: str
    label: str | None
    predicted: str | None
    confidence: float | None
    correct: bool | None
    divergence: float | None = None
    """Of a wrong image whose run explains both: Jensen–Shannon divergence, in [0, 1], between the
    flow of the prediction and that of the label."""
    mistake: str | None = None
    multi_label: bool = False

    @property
    def file(self) -> str:
        """The last part of the path, which fits below a small picture."""
        return self.uri.rpartition("/")[2] or self.uri


def read_captions(run: Run, rows: Iterable[int]) -> dict[int, Caption]:
    """Return the captions of ``rows``, by row."""
    names, wanted = short_names(run.spec.classes), sorted(set(rows))
    index = run.index_take(wanted)
    uris = dict(zip(wanted, index["uri"].to_pylist(), strict=True))
    columns = {name: pc.field(name) for name in ("row", "label", "pred", "confidence", "correct")}
    if run.spec.multi_label:
        columns["target"] = pc.field("target")
        found = run.summary().to_table(columns=columns, filter=pc.field("row").isin(wanted))
        labels = dict(zip(wanted, index["labels"].to_pylist(), strict=True))
        return {e["row"]: _of_multi_label(e, uris, labels, names) for e in found.to_pylist()}
    if run.spec.label_maps:
        columns["divergence"] = pc.field(f"label_jsd_l{len(run.spec.layers) - 1:02d}")
    found = run.summary().to_table(columns=columns, filter=pc.field("row").isin(wanted))
    return {
        entry["row"]: Caption(
            row=entry["row"],
            uri=uris[entry["row"]],
            label=_name(names, entry["label"]),
            predicted=_name(names, entry["pred"]),
            confidence=entry["confidence"],
            correct=entry["correct"],
            divergence=entry.get("divergence") if entry["correct"] is False else None,
        )
        for entry in found.to_pylist()
    }


def _of_multi_label(
    entry: dict[str, Any],
    uris: dict[int, str],
    labels: dict[int, list[int] | None],
    names: Sequence[str],
) -> Caption:
    row, own = entry["row"], labels[entry["row"]]
    mistake = "not labelled" if entry["label"] is None else "missed"
    return Caption(
        row=row,
        uri=uris[row],
        label=None if own is None else ", ".join(names[label] for label in own) or "nothing",
        predicted=_name(names, entry["target"]),
        confidence=entry["confidence"],
        correct=entry["correct"],
        mistake=mistake if entry["correct"] is False else None,
        multi_label=True,
    )


def _name(names: Sequence[str], index: int | None) -> str | None:
    if index is None:
        return None
    return names[index] if 0 <= index < len(names) else f"class {index}"

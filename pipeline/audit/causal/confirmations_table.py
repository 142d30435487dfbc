"""Confirmations as they are stored: verdicts with their sentences, rates and intervals."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pipeline.audit.causal.confirmation import Confirmation
from pipeline.audit.places import PLACES
from pipeline.audit.stats.intervals import Rate
from pipeline.audit.text.numbers import percent
from pipeline.audit.text.quoting import quote
from pipeline.nouns import agreeing, counted

_RATES = ("pasted", "rest", "mirrored", "random", "erased", "plain")
_GAINS = ("paste_gain", "erase_gain")
CONFIRMATIONS_SCHEMA = pa.schema(
    [
        pa.field("finding", pa.int32()),
        pa.field("class", pa.int32(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("place", pa.string(), nullable=False),
        pa.field("cells", pa.int64(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),
        *(pa.field(f"{name}_images", pa.int64(), nullable=False) for name in _RATES),
        *(pa.field(f"{name}_rate", pa.float64()) for name in _RATES),
        *(pa.field(f"{name}_low", pa.float64(), nullable=False) for name in (*_RATES, *_GAINS)),
        *(pa.field(f"{name}_high", pa.float64(), nullable=False) for name in (*_RATES, *_GAINS)),
        pa.field("sentence", pa.string(), nullable=False),
    ]
)
"""``finding`` is null for a lead that is not proven; rates and gains are those of
:class:`~pipeline.audit.causal.confirmation.Confirmation`, in [0, 1] and [-1, 1]."""


def confirmations_table(
    confirmations: Sequence[Confirmation], findings: Sequence[int | None], names: Sequence[str]
) -> pa.Table:
    """Return the table of confirmations of ``findings``; ``names`` are those of all classes."""
    rows = [
        _row(confirmation, finding, names[confirmation.suspect.class_id])
        for confirmation, finding in zip(confirmations, findings, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=CONFIRMATIONS_SCHEMA)


def _row(confirmation: Confirmation, finding: int | None, name: str) -> dict[str, Any]:
    suspect = confirmation.suspect
    row: dict[str, Any] = {
        "finding": finding,
        "class": suspect.class_id,
        "class_name": name,
        "place": suspect.place,
        "cells": len(suspect.cells),
        "verdict": confirmation.verdict,
    }
    for key in _RATES:
        rate: Rate = getattr(confirmation, key)
        row |= rate.columns(key)
    for key in _GAINS:
        row[f"{key}_low"], row[f"{key}_high"] = getattr(confirmation, key)
    return row | {"sentence": verdict_sentence(confirmation, name)}


_VERDICTS = {
    "used": "The model uses the {place} of {name}.",
    "seen": "The model sees the {place} of {name} but does not use it.",
    "undecided": "Whether the model uses the {place} of {name} is undecided.",
}


def verdict_sentence(confirmation: Confirmation, name: str) -> str:
    """Return the verdict and what pasting and erasing did; intervals are in the same row."""
    name, place = quote(name), PLACES[confirmation.suspect.place]
    verdict = _VERDICTS[confirmation.verdict].format(place=place, name=name)
    return f"{verdict} {_pasting(confirmation, name)} {_erasing(confirmation)}"


def _pasting(confirmation: Confirmation, name: str) -> str:
    pasted = confirmation.pasted
    if not pasted.images:
        return "There was nothing to paste."
    cells = len(confirmation.suspect.cells)
    patch = f"this patch ({counted(cells, 'cell')})"
    controls = [rate for rate in (confirmation.mirrored, confirmation.random) if rate.images]
    if not controls:
        control = "there was no control patch to compare with"
    elif not any(rate.value for rate in controls):
        control = "control patches turned none"
    else:
        control = f"control patches turned {' and '.join(percent(r.value) for r in controls)}"
    return (
        f"Pasting {patch} onto {counted(pasted.images, 'other image')} turned "
        f"{_share(pasted)} of them into {name}; {control}."
    )


def _erasing(confirmation: Confirmation) -> str:
    erased, plain = confirmation.erased, confirmation.plain
    if not erased.images:
        return "There was no image to erase it from."
    control = ""
    if plain.images:
        others = f"{counted(plain.images, 'image')} that {agreeing(plain.images, 'does', 'do')} not"
        control = f", and {_share(plain)} of {others} look there"
    return (
        f"Erasing it changed the answer of {_share(erased)} of "
        f"{counted(erased.images, 'image')} that {agreeing(erased.images, 'looks', 'look')} "
        f"there{control}."
    )


def _share(rate: Rate) -> str:
    return percent(rate.value) if rate.value else "none"

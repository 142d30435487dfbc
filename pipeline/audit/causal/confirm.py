"""``confirm``: put every suspected shortcut, and every lead, to the test, on any engine."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from pipeline.atlas import Atlas, choose_atlas
from pipeline.audit.causal.confirmation import Confirmation, Material, examine, gather
from pipeline.audit.causal.leads import LEADS, find_leads, lead_entry
from pipeline.audit.causal.suspects import Suspect, find_suspects, lead_suspects
from pipeline.audit.finding import CONFIRMATIONS
from pipeline.audit.run import add_leads, audited
from pipeline.audit.shortcuts.detection import Signal
from pipeline.audit.shortcuts.evidence import extreme_images
from pipeline.audit.stats.intervals import Rate
from pipeline.audit.text.numbers import percent
from pipeline.audit.text.quoting import quote
from pipeline.engine import Attempt, Engine, Job
from pipeline.engine.context import Context, open_context
from pipeline.errors import ConfigError, FlowatlasError
from pipeline.store import Run, Unit
from pipeline.store.parquet import parquet_bytes

ATTEMPTS = 3

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


@dataclass(frozen=True)
class Reading:
    """A suspect and its images."""

    suspect: Suspect
    images: Material


class ConfirmWorker:
    """Turns suspects into confirmations; see :class:`pipeline.engine.Worker`."""

    def __init__(self, suspects: Sequence[Suspect], context: Context) -> None:
        self._suspects, self._context = suspects, context

    def read(self, attempt: Attempt) -> Reading:
        """Read the images of a suspect."""
        suspect = self._suspects[attempt.unit.id]
        return Reading(suspect, gather(suspect, self._context))

    def compute(self, reading: Reading) -> Confirmation:
        """Paste, erase and predict."""
        return examine(reading.suspect, reading.images, self._context)

    def commit(self, computed: Confirmation) -> Confirmation:
        """Hand the result over; the driver stores all of them."""
        return computed


@contextmanager
def open_confirm(uri: str, threads: int, *, suspects: Sequence[Suspect]) -> Iterator[ConfirmWorker]:
    """Open a worker that knows the suspects of the run at ``uri``."""
    with open_context(uri, threads=threads) as context:
        yield ConfirmWorker(suspects, context)


def confirm(
    run: Run,
    engine: Engine,
    on_result: Callable[[str], None] = lambda sentence: None,
    leads: int = LEADS,
) -> pa.Table:
    """Test every finding that names a place; write and return ``audit/confirmations.parquet``.

    And at most ``leads`` leads (:mod:`pipeline.audit.causal.leads`): those that are proven to work
    become findings, behind the others; ``finding`` is null in the row of one that came to nothing.
    A unit of work is one suspect. ``on_result`` hears the sentence of each as it is known.

    Raises
    ------
    RunIncomplete
        The run was not audited.
    ConfigError
        The run compares images that a table lists: no prediction that a patch could change.
    FlowatlasError
        None of the images can be read now: no verdict, and an earlier one stays.
    """
    references = run.config.flow.references
    if references is not None and references.by == "table":
        raise ConfigError(
            "this run compares every image with those that flow.references.table lists for it, so "
            "a changed image has no class to lose or gain; confirm a run whose "
            "flow.references.by is prototypes or neighbours"
        )
    atlas = choose_atlas(run)
    before = audited(run)
    accused = find_suspects(run, atlas.table, before)
    followed = find_leads(atlas, before, leads)
    tested = _test(
        run,
        engine,
        (*accused, *lead_suspects(run, atlas.table, followed)),
        lambda found: on_result(_told(found, atlas.names[found.suspect.number])),
    )
    numbers = _add_proven(run, atlas, followed, tested[len(accused) :])
    findings = [*(suspect.finding for suspect in accused), *numbers]
    rows = [
        _row(confirmation, finding, atlas.names[confirmation.suspect.number])
        for confirmation, finding in zip(tested, findings, strict=True)
    ]
    table = pa.Table.from_pylist(rows, schema=CONFIRMATIONS_SCHEMA)
    run.write(CONFIRMATIONS, parquet_bytes(table))
    return table


def _test(
    run: Run,
    engine: Engine,
    suspects: Sequence[Suspect],
    on_result: Callable[[Confirmation], None],
) -> list[Confirmation]:
    """Put suspects to the test, in their order; one whose own images are gone is undecided."""
    units = [Unit(number, number, number + 1) for number in range(len(suspects))]
    job = Job(run.uri, ATTEMPTS, partial(open_confirm, suspects=suspects))
    found: dict[Suspect, Confirmation] = {}
    for confirmation in engine.run(job, units) if units else ():
        found[confirmation.suspect] = confirmation
        if confirmation.readable:
            on_result(confirmation)
    gone = [confirmation for confirmation in found.values() if not confirmation.readable]
    if gone and len(gone) == sum(bool(suspect.carriers) for suspect in suspects):
        raise FlowatlasError(f"no image of {run.uri} can be read now; check its dataset.source")
    for confirmation in gone:
        on_result(confirmation)
    return [found[suspect] for suspect in suspects]


def _add_proven(
    run: Run, atlas: Atlas, leads: Sequence[Signal], tested: Sequence[Confirmation]
) -> list[int | None]:
    """Make findings of the leads that work; return the number of each, None of the others."""
    proven = [pair for pair in zip(leads, tested, strict=True) if pair[1].works]
    shown = extreme_images(run, atlas.table, [lead for lead, _ in proven])
    entries = [
        lead_entry(lead, confirmation, atlas.names[lead.number], evidence)
        for (lead, confirmation), evidence in zip(proven, shown, strict=True)
    ]
    first = add_leads(run, entries, atlas.names)
    numbers = iter(range(first, first + len(entries)))
    return [next(numbers) if confirmation.works else None for confirmation in tested]


def _told(confirmation: Confirmation, name: str) -> str:
    kind = "lead: " if confirmation.suspect.finding is None else ""
    return kind + verdict_sentence(confirmation, name)


def _row(confirmation: Confirmation, finding: int | None, name: str) -> dict[str, Any]:
    suspect = confirmation.suspect
    row: dict[str, Any] = {
        "finding": finding,
        "class": suspect.number,
        "class_name": name,
        "place": suspect.place,
        "cells": len(suspect.cells),
        "verdict": confirmation.verdict,
    }
    for key in _RATES:
        rate: Rate = getattr(confirmation, key)
        low, high = rate.interval
        row |= {
            f"{key}_images": rate.images,
            f"{key}_rate": rate.value if rate.images else None,
            f"{key}_low": low,
            f"{key}_high": high,
        }
    for key in _GAINS:
        row[f"{key}_low"], row[f"{key}_high"] = getattr(confirmation, key)
    return row | {"sentence": verdict_sentence(confirmation, name)}


_WORDS = {"tl": "top-left corner", "tr": "top-right corner", "bl": "bottom-left corner"}
_WORDS |= {"br": "bottom-right corner", "border": "border"}
_VERDICTS = {
    "used": "The model uses the {place} of {name}",
    "seen": "The model sees the {place} of {name} but does not use it",
    "undecided": "Whether the model uses the {place} of {name} is undecided",
}


def verdict_sentence(confirmation: Confirmation, name: str) -> str:
    """Return the verdict with the numbers it rests on, all of them in the confirmation's row."""
    name = quote(name)
    head = _VERDICTS[confirmation.verdict].format(
        place=_WORDS[confirmation.suspect.place], name=name
    )
    pasted, erased, cells = (
        confirmation.pasted,
        confirmation.erased,
        len(confirmation.suspect.cells),
    )
    return (
        f"{head}: its {cells} hot {'cell' if cells == 1 else 'cells'}, pasted onto {pasted.images} "
        f"images of other classes from images that look there, make {_said(pasted)} of them "
        f"{name}, those on the other side {_said(confirmation.mirrored)}, those of random images "
        f"{_said(confirmation.random)}; of {erased.images} images that look there "
        f"{_said(erased)} lose the class once they are erased, of {confirmation.plain.images} "
        f"others {_said(confirmation.plain)}."
    )


def _said(rate: Rate) -> str:
    if not rate.images:
        return "not tested"
    low, high = (percent(end) for end in rate.interval)
    return f"{percent(rate.value)} ({low} to {high})"

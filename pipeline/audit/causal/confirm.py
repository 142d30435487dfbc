"""``confirm``: put every suspected shortcut, and every lead, to the test, on any engine."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import pyarrow as pa

from pipeline.atlas import Atlas, choose_atlas
from pipeline.audit.causal.confirmation import Confirmation
from pipeline.audit.causal.confirmations_table import confirmations_table, verdict_sentence
from pipeline.audit.causal.leads import LEADS, find_leads, lead_finding
from pipeline.audit.causal.suspects import Suspect, find_suspects, lead_suspects
from pipeline.audit.causal.trial import Trial, examine, load_trial
from pipeline.audit.findings_table import CONFIRMATIONS
from pipeline.audit.run import add_leads, audited
from pipeline.audit.shortcuts.detection import Signal
from pipeline.audit.shortcuts.evidence import extreme_images
from pipeline.engine import Attempt, Engine, Job
from pipeline.engine.context import Context, open_context
from pipeline.errors import ConfigError, FlowatlasError
from pipeline.progress import Progress, Show, unseen
from pipeline.store import Run, Unit
from pipeline.store.parquet import parquet_bytes

ATTEMPTS = 3


class ConfirmWorker:
    """Turns suspects into confirmations; see :class:`pipeline.engine.Worker`."""

    def __init__(self, suspects: Sequence[Suspect], context: Context) -> None:
        self._suspects, self._context = suspects, context

    def read(self, attempt: Attempt) -> Trial:
        """Read the images of a suspect."""
        return load_trial(self._suspects[attempt.unit.id], self._context)

    def compute(self, reading: Trial) -> Confirmation:
        """Paste, erase and predict."""
        return examine(reading, self._context)

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
    on_progress: Show = unseen,
) -> pa.Table:
    """Test every finding that names a place; write and return ``audit/confirmations.parquet``.

    At most ``leads`` leads are tested too (:mod:`pipeline.audit.causal.leads`): those that are
    proven to work become findings, after the others; ``finding`` is null in the rows of the rest.
    A unit of work is one suspect. ``on_result`` gets the sentence of each as it is known,
    ``on_progress`` how many are done.

    Raises
    ------
    RunIncomplete
        The run was not audited, or by an earlier version.
    ConfigError
        The run compares images with those that a table lists: there is no prediction to change.
    FlowatlasError
        None of the images can be read now; earlier verdicts are kept.
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
    suspects = find_suspects(run, atlas.table, before)
    candidates = find_leads(atlas, before, leads)
    tested = _test(
        run,
        engine,
        (*suspects, *lead_suspects(run, atlas.table, candidates)),
        lambda found: on_result(_message(found, atlas.names[found.suspect.class_id])),
        Progress(on_progress),
    )
    numbers = _add_proven(run, atlas, candidates, tested[len(suspects) :])
    findings = [*(suspect.finding for suspect in suspects), *numbers]
    table = confirmations_table(tested, findings, atlas.names)
    run.write(CONFIRMATIONS, parquet_bytes(table))
    return table


def _test(
    run: Run,
    engine: Engine,
    suspects: Sequence[Suspect],
    on_result: Callable[[Confirmation], None],
    progress: Progress,
) -> list[Confirmation]:
    """Test suspects, in their order; one whose own images are gone is undecided."""
    units = [Unit(number, number, number + 1) for number in range(len(suspects))]
    job = Job(run.uri, ATTEMPTS, partial(open_confirm, suspects=suspects))
    found: dict[Suspect, Confirmation] = {}
    progress.plan(len(units))
    for confirmation in engine.run(job, units):
        found[confirmation.suspect] = confirmation
        progress.add()
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
    findings = [
        lead_finding(lead, confirmation, atlas.names[lead.class_id], evidence)
        for (lead, confirmation), evidence in zip(proven, shown, strict=True)
    ]
    first = add_leads(run, findings)
    numbers = iter(range(first, first + len(findings)))
    return [next(numbers) if confirmation.works else None for confirmation in tested]


def _message(confirmation: Confirmation, name: str) -> str:
    kind = "lead: " if confirmation.suspect.finding is None else ""
    return kind + verdict_sentence(confirmation, name)

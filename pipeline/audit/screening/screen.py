"""``screen``: what of some images of a class turns other images into it, wherever and of any kind.

Proposals are cheap and many; what they do to images of other classes decides.
"""

from collections.abc import Callable, Sequence
from functools import partial

import pyarrow as pa

from pipeline.atlas import choose_atlas
from pipeline.audit.findings_table import SCREENING
from pipeline.audit.screening.candidate import Candidate
from pipeline.audit.screening.effort import IN_LAST, IN_PROPOSALS, IN_SURVEY, effort
from pipeline.audit.screening.examination import Examined, open_examine
from pipeline.audit.screening.judgement import judge, provable
from pipeline.audit.screening.proposals import CLEAR, proposed
from pipeline.audit.screening.screening_table import screening_table
from pipeline.audit.screening.selection import Selection, screened, select_images
from pipeline.audit.screening.survey import ATTEMPTS, surveyed
from pipeline.engine import Engine, Job
from pipeline.errors import ConfigError
from pipeline.progress import Progress, Show, unseen
from pipeline.store import Run, Unit
from pipeline.store.parquet import parquet_bytes

KINDS = 8
"""Kinds of parts that are proposed of every class: an overlay, a spot, six properties."""


def screen(
    run: Run,
    engine: Engine,
    say: Callable[[str], None] = lambda sentence: None,
    on_progress: Show = unseen,
) -> pa.Table:
    """Screen every class of an aggregated run; write and return ``audit/screening.parquet``.

    The table has every part that came to the last round, the largest effects first. Shortcuts
    become findings by :func:`~pipeline.audit.screening.findings.add_screened`. The same run gives
    the same table. ``on_progress`` gets forward passes, over all rounds, at most.

    Raises
    ------
    RunIncomplete
        The run was not aggregated.
    ConfigError
        The run compares images with those that a table lists, its images have several labels, or no
        class can be screened.
    FlowatlasError
        None of the images can be read now; an earlier table is kept.
    """
    if run.spec.multi_label:
        raise ConfigError(
            "the images of this run have several labels each, so there is none that a part alone "
            "could make its answer; use flowatlas confirm and probe"
        )
    references = run.config.flow.references
    if references is not None and references.by == "table":
        raise ConfigError(
            "this run compares every image with those that flow.references.table lists for it, so "
            "a changed image has no class to gain; screen a run whose flow.references.by is "
            "prototypes or neighbours"
        )
    atlas = choose_atlas(run)
    selection = select_images(run, atlas.table)
    classes = screened(selection)
    needed = effort(len(classes), len(selection.by_class) - len(classes))
    if not classes:
        raise ConfigError(
            f"no class of {run.uri} has enough images that the model gets right to be screened"
        )
    say(needed.sentence)
    progress = Progress(on_progress)
    later = needed.last * IN_LAST
    progress.plan(len(selection.by_class) * IN_SURVEY + len(classes) * IN_PROPOSALS + later)
    numbers = surveyed(run, engine, selection, lambda: progress.add(IN_SURVEY))
    proposals = proposed(run, engine, selection, numbers, lambda: progress.add(IN_PROPOSALS))
    candidates = best(proposals, needed.last)
    progress.plan(len(candidates) * IN_LAST)
    tests = len(classes) * KINDS
    found = examined(run, engine, selection, candidates, tests, lambda: progress.add(IN_LAST))
    table = screening_table(judge(found, tests), atlas.names)
    run.write(SCREENING, parquet_bytes(table))
    return table


def best(candidates: Sequence[Candidate], most: int) -> list[Candidate]:
    """Return the candidates that raise the logit of their class clearly, the most first.

    Of each class and part one: two groups that have the same are one that was not found whole.
    """
    order = sorted(
        (item for item in candidates if item.gain > CLEAR),
        key=lambda item: (-item.gain, item.class_id, item.part, item.carriers),
    )
    first: dict[tuple[int, str], Candidate] = {}
    for item in order:
        first.setdefault((item.class_id, item.part), item)
    return list(first.values())[:most]


def examined(
    run: Run,
    engine: Engine,
    selection: Selection,
    candidates: Sequence[Candidate],
    tests: int,
    on_done: Callable[[], None],
) -> list[Examined]:
    """Examine candidates of ``tests`` parts, in their order; those without images are left out."""
    if not candidates:
        return []
    units = [Unit(number, number, number + 1) for number in range(len(candidates))]
    least = provable(len(candidates), tests)
    opener = partial(
        open_examine, candidates=tuple(candidates), selection=selection, provable=least
    )
    found: dict[int, Examined | None] = {}
    for number, item in engine.run(Job(run.uri, ATTEMPTS, opener), units):
        found[number] = item
        on_done()
    kept = (found[number] for number in range(len(units)))
    return [item for item in kept if item is not None]

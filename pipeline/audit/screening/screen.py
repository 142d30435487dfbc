"""``screen``: what of some images of a class turns other images into it, wherever and of any kind.

Proposals need no map: a fixed set of parts of every class. What they do decides.
"""

from collections.abc import Callable
from functools import partial

import pyarrow as pa

from pipeline.atlas import choose_atlas
from pipeline.audit.findings_table import SCREENING
from pipeline.audit.screening.effort import IN_LAST, effort
from pipeline.audit.screening.examination import Examined, open_examine
from pipeline.audit.screening.judgement import judge
from pipeline.audit.screening.parts import PARTS
from pipeline.audit.screening.rounds import (
    ATTEMPTS,
    Candidate,
    Screening,
    best,
    first_round,
    screened,
    second_round,
)
from pipeline.audit.screening.screening_table import screening_table
from pipeline.audit.screening.selection import select_images
from pipeline.engine import Engine, Job
from pipeline.errors import ConfigError
from pipeline.progress import Progress, Show, unseen
from pipeline.store import Run, Unit
from pipeline.store.parquet import parquet_bytes


def screen(
    run: Run,
    engine: Engine,
    say: Callable[[str], None] = lambda sentence: None,
    on_progress: Show = unseen,
) -> pa.Table:
    """Screen every class of an aggregated run; write and return ``audit/screening.parquet``.

    The table has every part that came to the last round, the largest effects first. Shortcuts
    become findings by :func:`~pipeline.audit.screening.findings.add_screened`. The same run gives
    the same table. ``on_progress`` gets forward passes, over all rounds.

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
    screening = Screening(run, engine, selection, Progress(on_progress))
    first = best(first_round(screening, needed.later), needed.second)
    candidates = best(second_round(screening, first, needed.last * IN_LAST), needed.last)
    table = screening_table(
        judge(_examined(screening, candidates), len(classes) * len(PARTS)), atlas.names
    )
    run.write(SCREENING, parquet_bytes(table))
    return table


def _examined(screening: Screening, candidates: list[Candidate]) -> list[Examined]:
    """Examine candidates, in their order; those whose images are gone are left out."""
    if not candidates:
        return []
    units = [Unit(number, number, number + 1) for number in range(len(candidates))]
    opener = partial(open_examine, candidates=tuple(candidates), selection=screening.selection)
    known = {}
    screening.progress.plan(len(candidates) * IN_LAST)
    for item in screening.engine.run(Job(screening.run.uri, ATTEMPTS, opener), units):
        screening.progress.add(IN_LAST)
        if item is not None:
            known[item.candidate.class_id, item.candidate.part] = item
    keys = [(item.class_id, item.part) for item in candidates]
    return [known[key] for key in keys if key in known]

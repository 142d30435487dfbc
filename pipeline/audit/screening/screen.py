"""``screen``: what of some images of a class turns other images into it, wherever and of any kind.

Proposals need no map: a fixed set of parts of every class. What they do decides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from pipeline.atlas import choose_atlas
from pipeline.audit.screening.examination import TRANSPLANTS, Examined, open_examine
from pipeline.audit.screening.judgement import judge
from pipeline.audit.screening.parts import PARTS
from pipeline.audit.screening.rounds import (
    AGAIN,
    ATTEMPTS,
    FIRST,
    SECOND,
    Candidate,
    Screening,
    best,
    first_round,
    screened,
    second_round,
)
from pipeline.audit.screening.screening_table import SCREENING, screening_table
from pipeline.audit.screening.selection import RECIPIENTS, select_images
from pipeline.engine import Engine, Job
from pipeline.errors import ConfigError
from pipeline.store import Run, Unit
from pipeline.store.parquet import parquet_bytes

_LEAST_SECOND, _LEAST_LAST = 16, 8


@dataclass(frozen=True)
class Effort:
    """How much a screening takes.

    ``classes`` can be screened, ``too_small`` have too few images that the model gets right;
    ``second`` and ``last`` parts come to these rounds at most; ``passes`` are forward passes of one
    image at most.
    """

    classes: int
    too_small: int
    second: int
    last: int
    passes: int

    @property
    def sentence(self) -> str:
        """The same in words."""
        left = f"; {self.too_small} have too few images that are right" if self.too_small else ""
        return (
            f"{self.classes} classes × {len(PARTS)} parts{left}: at most {self.passes:,} forward "
            f"passes; {self.second} parts of them in the second round, {self.last} in the last"
        )


def effort(classes: int, too_small: int = 0, donors: int = FIRST) -> Effort:
    """Return the effort of screening ``classes`` classes of at least ``donors`` donors."""
    second = _LEAST_SECOND + classes // 2
    last = _LEAST_LAST + classes // 4
    passes = (
        RECIPIENTS
        + classes * len(PARTS) * min(donors, FIRST)
        + second * SECOND * AGAIN
        + last * (4 * TRANSPLANTS + 2 * SECOND)
    )
    return Effort(classes, too_small, second, last, passes)


def screen(
    run: Run,
    engine: Engine,
    say: Callable[[str], None] = lambda sentence: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> pa.Table:
    """Screen every class of an aggregated run; write and return ``audit/screening.parquet``.

    The table has every part that came to the last round, the largest effects first. Shortcuts
    become findings by :func:`~pipeline.audit.screening.findings.add_screened`. The same run gives
    the same table.

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
    screening = Screening(run, engine, selection, on_progress)
    candidates = best(
        second_round(screening, best(first_round(screening), needed.second)), needed.last
    )
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
    found = screening.engine.run(Job(screening.run.uri, ATTEMPTS, opener), units)
    known = {
        (item.candidate.class_id, item.candidate.part): item for item in found if item is not None
    }
    keys = [(item.class_id, item.part) for item in candidates]
    return [known[key] for key in keys if key in known]

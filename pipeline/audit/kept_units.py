"""``compute_missing``: the units of an analysis, of which those that are stored are kept."""

from collections.abc import Callable, Sequence
from typing import Any

from pipeline.engine import Engine, Job
from pipeline.progress import Show
from pipeline.store import Unit


def compute_missing(
    engine: Engine,
    job: Job[Any],
    units: Sequence[Unit],
    is_kept: Callable[[Unit], bool],
    on_progress: Show,
) -> None:
    """Compute the units that are not kept, so that what was interrupted continues.

    ``on_progress`` is called with the number of units that are done and of all, first before
    anything is computed.
    """
    todo = [unit for unit in units if not is_kept(unit)]
    kept = len(units) - len(todo)
    on_progress(kept, len(units))
    for done, _ in enumerate(engine.run(job, todo), start=kept + 1):
        on_progress(done, len(units))

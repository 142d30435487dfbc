"""Suspects: shortcuts with a place, and the images on which their use can be tested."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.atlas import TABLES
from pipeline.audit.causal.hot_cells import hot_cells
from pipeline.audit.shortcuts.detection import Signal
from pipeline.audit.stats.estimates import CORNERS, LOOKING, column_of
from pipeline.store import Run, Status

PLACES = {**{column: column.split("_")[1] for column in CORNERS}, "border_flow": "border"}
"""Column → the place it measures: a corner (``tl``, ``tr``, ``bl``, ``br``) or the ``border``."""

RECIPIENTS = 200
"""Images of other classes onto which the place is pasted, and as many that give random patches."""

CARRIERS = 64
"""Images of the class at most from which the place is taken and erased."""

_SURE_CARRIERS = 4

_ENOUGH = 2.0
"""Lift from which an image is a carrier, however far into the place others look: the farthest
alone are those whose patch works best, which would flatter it."""


@dataclass(frozen=True)
class Suspect:
    """A place that images of one class are suspected of being recognised by.

    ``carriers`` are rows of the class that look there most; ``plain`` rows of it that do not;
    ``recipients`` and ``donors`` rows of other classes, for pasting onto and for random patches.
    ``cells`` are the hot cells of the place (:mod:`pipeline.audit.causal.hot_cells`): the patch.
    ``finding`` is the number of the finding, None without one. ``family`` is how many suspects
    share the error that one verdict is allowed: several where only the test speaks for them.
    """

    finding: int | None
    number: int
    column: str
    carriers: tuple[int, ...]
    plain: tuple[int, ...]
    recipients: tuple[int, ...]
    donors: tuple[int, ...]
    cells: tuple[int, ...]
    family: int = 1

    @property
    def place(self) -> str:
        """A corner, or the border."""
        return PLACES[self.column]


def suspect(
    run: Run,
    table: str,
    number: int,
    column: str,
    finding: int | None = None,
    least: float | None = None,
    family: int = 1,
) -> Suspect:
    """Choose the images for one class and place; the same ones every time.

    Only images that the model takes for the class can lose it, only others can gain it: carriers
    and plain images are predicted as the class, recipients and donors are not. Carriers look at
    the place with a lift of ``least``: by default half of that of the fourth of them, or 2.
    """
    group = TABLES[table]
    images = run.summary().to_table(
        columns=["row", "pred", column, *({group} - {"pred"})],
        filter=(pc.field("status") == int(Status.OK)) & pc.field(column).is_valid(),
    )
    images = images.sort_by("row")
    of_class = _integers(images, group) == number
    taken = _integers(images, "pred") == number
    rows, values = images["row"].to_numpy(), images[column].to_numpy()
    own = np.flatnonzero(of_class & taken)
    own = own[np.argsort(-values[own], kind="stable")]
    if least is None:
        strong = values[own] >= np.minimum(values[own[:_SURE_CARRIERS]][-1:] / 2, _ENOUGH)
    else:
        strong = values[own] >= least
    random = np.random.default_rng(number)
    others = random.permutation(rows[~of_class & ~taken])
    plain = own[len(own) // 2 :]  # the half of the class that looks there least
    carriers = _tuple(rows[own[strong][:CARRIERS]])
    ordinary = _tuple(rows[random.permutation(plain[~strong[len(own) // 2 :]])[:RECIPIENTS]])
    return Suspect(
        finding=finding,
        number=number,
        column=column,
        carriers=carriers,
        plain=ordinary,
        recipients=_tuple(others[::2][:RECIPIENTS]),
        donors=_tuple(others[1::2][:RECIPIENTS]),
        cells=hot_cells(run, PLACES[column], carriers, ordinary),
        family=family,
    )


def find_suspects(run: Run, table: str, findings: pa.Table) -> tuple[Suspect, ...]:
    """Return a suspect for every finding that names a place."""
    found = []
    for finding in findings.to_pylist():
        statistics = (finding["statistic"], *finding["supporting"].split(", "))
        if column := place_of(finding["kind"], statistics):
            found.append(suspect(run, table, finding["class"], column, finding["finding"]))
    return tuple(found)


def lead_suspects(run: Run, table: str, leads: Sequence[Signal]) -> tuple[Suspect, ...]:
    """Return a suspect for every lead; only images that look there are its carriers."""
    return tuple(
        suspect(run, table, lead.number, lead.statistic.column, least=LOOKING, family=len(leads))
        for lead in leads
    )


def place_of(kind: str, statistics: Iterable[str]) -> str | None:
    """Return the column of the first place that a finding's statistics speak of, None without.

    The headline comes first: it may be a depth or a mass, and a place what supports it.
    """
    columns = map(column_of, statistics)
    shortcut = kind in ("shortcut", "rare", "echo", "lead")
    return next((column for column in columns if shortcut and column in PLACES), None)


def _integers(images: pa.Table, name: str) -> NDArray[np.int64]:
    return np.asarray(images[name].cast(pa.int64()).fill_null(-1).to_numpy())


def _tuple(rows: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(row) for row in rows)

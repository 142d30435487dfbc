"""Suspects: shortcuts with a place, and the images on which their use can be tested."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.atlas import TABLES
from pipeline.audit.causal.focus_cells import focus_cells
from pipeline.audit.finding import Finding
from pipeline.audit.multi_label.images import images_with
from pipeline.audit.places import LIFT_COLUMNS, PLACES
from pipeline.audit.shortcuts.detection import Signal
from pipeline.audit.stats.estimates import LOOKING
from pipeline.store import Run, Status

RECIPIENTS = 200
"""Images of other classes onto which the place is pasted; as many others give random patches."""

CARRIERS = 64
"""Most images of the class from which the place is taken and erased."""

_SURE_CARRIERS = 4

_CARRIER_LIFT = 2.0
"""Lift from which an image is a carrier, however large that of others is: the images with the
largest lift alone have the patches that work best, which would exaggerate the effect."""


@dataclass(frozen=True)
class Suspect:
    """A place that images of one class are suspected of being recognised by.

    ``carriers`` are rows of the class that look there most; ``plain`` rows of it that do not;
    ``recipients`` and ``donors`` rows of other classes, for pasting onto and for random patches.
    ``cells`` are the focus cells of the place (:mod:`pipeline.audit.causal.focus_cells`): the
    patch. ``finding`` is the number of the finding, None without one. ``family`` is how many
    suspects share the error that one verdict is allowed: several where the test is the only
    evidence.
    """

    finding: int | None
    class_id: int
    place: str
    carriers: tuple[int, ...]
    plain: tuple[int, ...]
    recipients: tuple[int, ...]
    donors: tuple[int, ...]
    cells: tuple[int, ...]
    family: int = 1


def suspect(
    run: Run,
    table: str,
    class_id: int,
    place: str,
    finding: int | None = None,
    least: float | None = None,
    family: int = 1,
) -> Suspect:
    """Choose the images for one class and place; the same ones every time.

    Only images that the model takes for the class can lose it, only others can gain it: carriers
    and plain images are predicted as the class, recipients and donors are not. Carriers look at
    the place with a lift of ``least``: by default half of that of the fourth of them, or 2.
    """
    group, column = TABLES[table], LIFT_COLUMNS[place]
    image = ["image"] if run.spec.multi_label else []
    images = run.summary().to_table(
        columns=["row", "pred", column, *({group} - {"pred"}), *image],
        filter=(pc.field("status") == int(Status.OK)) & pc.field(column).is_valid(),
    )
    images = images.sort_by("row")
    of_class = _integers(images, group) == class_id
    taken = _integers(images, "pred") == class_id
    rows, values = images["row"].to_numpy(), images[column].to_numpy()
    own = np.flatnonzero(of_class & taken)
    own = own[np.argsort(-values[own], kind="stable")]
    if least is None:
        strong = values[own] >= np.minimum(values[own[:_SURE_CARRIERS]][-1:] / 2, _CARRIER_LIFT)
    else:
        strong = values[own] >= least
    random = np.random.default_rng(class_id)
    others = random.permutation(rows[_elsewhere(run, images, class_id, of_class | taken)])
    plain = own[len(own) // 2 :]  # the half of the class that looks there least
    carriers = _tuple(rows[own[strong][:CARRIERS]])
    ordinary = _tuple(rows[random.permutation(plain[~strong[len(own) // 2 :]])[:RECIPIENTS]])
    return Suspect(
        finding=finding,
        class_id=class_id,
        place=place,
        carriers=carriers,
        plain=ordinary,
        recipients=_tuple(others[::2][:RECIPIENTS]),
        donors=_tuple(others[1::2][:RECIPIENTS]),
        cells=focus_cells(run, place, carriers, ordinary),
        family=family,
    )


def _elsewhere(
    run: Run, images: pa.Table, class_id: int, of_class: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which rows are of images without the class, neither labelled nor predicted.

    Of an image with several labels it is one row, whatever that row explains.
    """
    if not run.spec.multi_label:
        return ~of_class
    numbers = images["image"].to_numpy()
    first = np.diff(numbers, prepend=-1) != 0
    return np.asarray(first & ~np.isin(numbers, images_with(run, class_id)))


def find_suspects(run: Run, table: str, findings: Sequence[Finding]) -> tuple[Suspect, ...]:
    """Return a suspect for every finding that names a place to test.

    What a screening found was tested by it.
    """
    return tuple(
        suspect(run, table, finding.class_id, finding.place, finding.number)
        for finding in findings
        if finding.class_id is not None and finding.place is not None and finding.place in PLACES
    )


def lead_suspects(run: Run, table: str, leads: Sequence[Signal]) -> tuple[Suspect, ...]:
    """Return a suspect for every lead; only images that look there are its carriers."""
    return tuple(
        suspect(run, table, lead.class_id, place, least=LOOKING, family=len(leads))
        for lead in leads
        if (place := lead.statistic.place) is not None
    )


def _integers(images: pa.Table, name: str) -> NDArray[np.int64]:
    return np.asarray(images[name].cast(pa.int64()).fill_null(-1).to_numpy())


def _tuple(rows: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(row) for row in rows)

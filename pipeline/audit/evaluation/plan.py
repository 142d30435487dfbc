"""``Plan``: what an evaluation computes, and where the results of its units are kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pipeline.config import content_hash
from pipeline.store import Run, Unit
from pipeline.store.layout import units_of

FOLDER = "audit/evaluation"

UNIT = 16
"""Images of a unit."""

_VERSION = 2  # of what is computed: raise it when results of units change


@dataclass(frozen=True)
class Plan:
    """What is computed of which images.

    ``rows`` are the images in the order in which they were drawn, so that a larger sample begins
    with a smaller one; of the first ``hiding`` of them patches are hidden as well, which costs far
    more than all else. ``methods`` explain the model; ``fills`` and ``steps`` are those of hiding;
    ``tolerance`` that of the pointing game, as a fraction of the input.
    """

    rows: tuple[int, ...]
    hiding: int
    methods: tuple[str, ...]
    fills: tuple[str, ...]
    steps: int
    tolerance: float

    @property
    def units(self) -> tuple[Unit, ...]:
        """Units of places in ``rows``."""
        return units_of(len(self.rows), UNIT)

    def rows_of(self, unit: Unit) -> Sequence[int]:
        """Return the images of a unit."""
        return self.rows[unit.lo : unit.hi]

    def hiding_of(self, unit: Unit) -> int:
        """Return of how many images of a unit, from its first, patches are hidden."""
        return min(max(0, self.hiding - unit.lo), len(unit))

    def path(self, run: Run, unit: Unit, kind: str) -> str:
        """Return where a unit's ``kind`` of results is kept: what determines them is in the name.

        An evaluation with more images, or that hides patches of more, finds those that it shares.
        """
        settings = {**asdict(self), "rows": None, "hiding": None, "run": run.spec.hash}
        settings["version"] = _VERSION
        own = content_hash([settings, list(self.rows_of(unit)), self.hiding_of(unit)])
        return f"{FOLDER}/{unit.id:05d}-{own[:16]}-{kind}.parquet"

"""``Plan``: which pairs of images are explained, how, and where their units are kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pipeline.audit.pairs.schema import FOLDER
from pipeline.config import content_hash
from pipeline.flows.pair_attribution import PairSimilarity
from pipeline.store import Run, Unit
from pipeline.store.layout import units_of

UNIT = 4
"""Pairs of a unit: each takes hundreds of passes of a part of the model."""

_VERSION = 1  # of what is computed: raise it when results of units change


@dataclass(frozen=True)
class Plan:
    """The pairs of one table.

    ``pairs`` are rows of the run: query and gallery image. ``layer`` has the tokens; ``strongest``
    pairs of patches are kept of each; ``tolerance`` and ``most_steps`` bound the integral (see
    :class:`pipeline.flows.pair_attribution.PairAttribution`).
    """

    name: str
    pairs: tuple[tuple[int, int], ...]
    layer: str
    similarity: PairSimilarity
    strongest: int
    tolerance: float
    most_steps: int

    @property
    def units(self) -> tuple[Unit, ...]:
        """Units of places in ``pairs``."""
        return units_of(len(self.pairs), UNIT)

    def pairs_of(self, unit: Unit) -> Sequence[tuple[int, int]]:
        """Return the pairs of a unit."""
        return self.pairs[unit.lo : unit.hi]

    @property
    def path(self) -> str:
        """Where the table of all pairs is written."""
        return f"{FOLDER}/{self.name}.parquet"

    def unit_path(self, run: Run, unit: Unit) -> str:
        """Return where a unit is kept: what determines it is in the name, its number included."""
        settings = {**asdict(self), "name": None, "pairs": None, "run": run.spec.hash}
        settings["version"] = _VERSION
        own = content_hash([settings, unit.lo, [list(pair) for pair in self.pairs_of(unit)]])
        return f"{FOLDER}/{self.name}/{unit.id:05d}-{own[:16]}.parquet"

"""A candidate: some images of a class, and the part that they may have and the others not."""

from dataclasses import dataclass

from pipeline.audit.screening.estimates.carriers import Move
from pipeline.audit.screening.spots import Spot


@dataclass(frozen=True)
class Candidate:
    """A group of a class with what it has more of than the others of the class.

    ``carriers`` are rows, those with most of it first, and ``others`` rows; ``gain`` is the mean
    rise of the logit; ``left`` and ``chance`` say how rare it is elsewhere.
    """

    class_id: int
    part: str
    carriers: tuple[int, ...]
    others: tuple[int, ...]
    strengths: tuple[float, ...]
    """Of every carrier."""
    gain: float
    left: float
    chance: float
    moves: tuple[Move, ...] = ()
    """Pixels down and to the right that bring what carriers share to the same place."""
    spots: tuple[Spot, ...] = ()
    """Where every carrier has it, of what lies at another place in every image."""

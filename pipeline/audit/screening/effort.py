"""Effort: how many forward passes a screening takes, known before it starts."""

from dataclasses import dataclass

from pipeline.audit.screening.examination import TRANSPLANTS
from pipeline.audit.screening.parts import PARTS
from pipeline.audit.screening.rounds import AGAIN, FIRST, SECOND
from pipeline.audit.screening.selection import RECIPIENTS
from pipeline.nouns import counted

_LEAST_SECOND, _LEAST_LAST = 16, 8

IN_SECOND, IN_LAST = SECOND * AGAIN, 4 * TRANSPLANTS + 2 * SECOND
"""Most forward passes for one part in the second and in the last round."""


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
    def later(self) -> int:
        """Forward passes after the first round, at most."""
        return self.second * IN_SECOND + self.last * IN_LAST

    @property
    def sentence(self) -> str:
        """The same in words."""
        left = ""
        if self.too_small:
            left = f"; {counted(self.too_small, 'class')} with too few images that are right"
        return (
            f"{counted(self.classes, 'class')} × {counted(len(PARTS), 'part')}{left}: at most "
            f"{counted(self.passes, 'forward pass')}; {self.second:,} of the parts come to the "
            f"second round, {self.last:,} to the last"
        )


def effort(classes: int, too_small: int = 0, donors: int = SECOND) -> Effort:
    """Return the effort of screening ``classes`` classes of at least ``donors`` donors."""
    second = _LEAST_SECOND + classes
    last = _LEAST_LAST + classes // 4
    properties = sum(part.is_property for part in PARTS.values())
    passes = (
        RECIPIENTS
        + classes * (len(PARTS) - properties) * min(donors, FIRST)
        + classes * properties * min(donors, SECOND)
        + second * IN_SECOND
        + last * IN_LAST
    )
    return Effort(classes, too_small, second, last, passes)

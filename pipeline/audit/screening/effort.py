"""Effort: how many forward passes a screening takes, known before it starts."""

from dataclasses import dataclass

from pipeline.audit.screening.examination import CONTROLS, ERASED, SCOUTS, TRANSPLANTS
from pipeline.audit.screening.proposals import EACH, EACH_CONTENT, FIRST
from pipeline.audit.screening.selection import RECIPIENTS
from pipeline.nouns import counted

_LEAST_LAST = 8

IN_SURVEY = 16
"""What measuring a class takes, in forward passes."""

IN_PROPOSALS = (2 * EACH + EACH_CONTENT) * FIRST
IN_LAST = SCOUTS + 2 * TRANSPLANTS + 2 * CONTROLS + CONTROLS // 2 + 4 * ERASED
"""Most forward passes for the proposals of one class, and for one group in the last round."""


@dataclass(frozen=True)
class Effort:
    """How much a screening takes.

    ``classes`` can be screened, ``too_small`` have too few images that the model gets right;
    ``last`` proposals at most are tested to the end; ``passes`` are forward passes of one image at
    most.
    """

    classes: int
    too_small: int
    last: int
    passes: int

    @property
    def sentence(self) -> str:
        """The same in words."""
        left = ""
        if self.too_small:
            left = f"; {counted(self.too_small, 'class')} with too few images that are right"
        return (
            f"{counted(self.classes, 'class')}{left}: at most "
            f"{counted(self.passes, 'forward pass')}, and at most {counted(self.last, 'group')} of "
            "images tested to the end"
        )


def effort(classes: int, too_small: int = 0) -> Effort:
    """Return the effort of screening ``classes`` classes."""
    last = _LEAST_LAST + classes // 2
    passes = RECIPIENTS + classes * IN_PROPOSALS + last * IN_LAST
    return Effort(classes, too_small, last, passes)

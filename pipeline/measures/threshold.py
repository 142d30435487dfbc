"""From which logit a sigmoid output counts as predicted. Needs no torch."""

import math


def least_logit(threshold: float) -> float:
    """Return the logit from which a sigmoid is at least ``threshold``, which is in (0, 1)."""
    return math.log(threshold / (1 - threshold))

"""``fixed_share``: how much of a step its calls take, however many images it has."""

import time
from collections.abc import Callable

_TIMES = 2


def fixed_share(seconds: float, images: int, one: Callable[[], object]) -> float:
    """Return the share [0, 1] of a step's time that does not depend on its images.

    A step of ``images`` took ``seconds``; ``one`` takes the same step with one image, and is timed.
    If a step takes o + c · images, the share is o ÷ (o + c · images).
    """
    single = min(_timed(one) for _ in range(_TIMES))
    fixed = (images * single - seconds) / (images - 1)
    return min(max(fixed / seconds, 0.0), 1.0)


def _timed(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin

"""``fixed_share``: how much of a step its calls take, however many images it has."""

import time
from collections.abc import Callable

_TIMES = 2


def fixed_share(seconds: float, images: int, one: Callable[[], object]) -> float:
    """Return the share [0, 1] of a step's time that does not depend on its images.

    A step of ``images`` took this thread ``seconds``; ``one`` takes the same step with one image,
    and is timed. If a step takes o + c · images, the share is o ÷ (o + c · images). Time is that of
    the CPU, as :func:`time.thread_time` counts it: what other processes take is in neither step.
    """
    single = min(_timed(one) for _ in range(_TIMES))
    fixed = (images * single - seconds) / (images - 1)
    return min(max(fixed / seconds, 0.0), 1.0)


def _timed(call: Callable[[], object]) -> float:
    begin = time.thread_time()
    call()
    return time.thread_time() - begin

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.engine.clock import Clock


def test_an_inner_stage_is_not_counted_twice() -> None:
    clock = Clock()
    for _ in range(2):
        with clock("measure"):
            time.sleep(0.02)
            with clock("compute"):
                time.sleep(0.05)
    assert clock.seconds["compute"] == pytest.approx(0.1, abs=0.05)
    assert 0.04 <= clock.seconds["measure"] < 0.09


def test_threads_add_up() -> None:
    clock = Clock()

    def work(_: int) -> None:
        with clock("decode"):
            time.sleep(0.05)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert clock.seconds["decode"] >= 0.2

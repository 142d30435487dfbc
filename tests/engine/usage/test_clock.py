import time
from concurrent.futures import ThreadPoolExecutor

from pipeline.engine.usage.clock import Clock, Spans


def test_an_inner_stage_is_not_counted_twice() -> None:
    clock, begin = Clock(), time.perf_counter()
    for _ in range(2):
        with clock("measure"):
            time.sleep(0.02)
            with clock("compute"):
                time.sleep(0.05)
    wall = time.perf_counter() - begin
    assert clock.seconds["compute"] >= 0.1
    assert clock.seconds["measure"] >= 0.04
    rounding = 2 * 0.00005
    assert clock.seconds["compute"] + clock.seconds["measure"] <= wall + rounding


def test_threads_add_up() -> None:
    clock = Clock()

    def work(_: int) -> None:
        with clock("decode"):
            time.sleep(0.05)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert clock.seconds["decode"] >= 0.2


def test_spans_cover_what_of_a_time() -> None:
    spans, times = Spans(), [time.perf_counter()]
    with spans():
        time.sleep(0.02)
        with ThreadPoolExecutor(1) as other, spans():  # at once, but time passes once
            other.submit(time.sleep, 0.02).result()
        times.append(time.perf_counter())
        assert spans.within(*times) <= times[1] - times[0]
        assert spans.within(*times) >= 0.04
    times.append(time.perf_counter())
    time.sleep(0.02)
    times.append(time.perf_counter())
    assert 0 <= spans.within(times[1], times[3]) <= times[2] - times[1]
    assert spans.within(times[2], times[3]) == 0

"""Results come in order, and not too far ahead."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.files.read_ahead import THREADS, ahead


@given(st.lists(st.integers(), max_size=60))
def test_order_is_kept(items: list[int]) -> None:
    def work(item: int) -> int:
        time.sleep(0.001 * (item % 3))
        return item + 1

    assert list(ahead(work, items)) == [item + 1 for item in items]


def test_no_more_is_begun_than_fits() -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def work(item: int) -> int:
        with lock:
            begun.append(item)
        return item

    results = ahead(work, range(1000))
    assert next(results) == 0
    time.sleep(0.1)
    assert len(begun) <= THREADS + 1
    results.close()


def test_an_error_is_raised_in_order() -> None:
    results = ahead(lambda item: 1 // item, [2, 1, 0, 3])
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)

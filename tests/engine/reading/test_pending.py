import numpy as np
import pytest

from pipeline.engine.reading.messages import UNREAD, Found
from pipeline.engine.reading.pending import ENOUGH, SharedBatch
from pipeline.engine.usage.clock import Clock
from tests.engine.reading.pictures import TRANSFORM, indexed

FINE: Found = (None, 8, 8)


def batch_of(images: int, crashing: tuple[int, ...] = ()) -> SharedBatch:
    batch = SharedBatch(indexed(["a"] * images), crashing, Clock(), TRANSFORM, lambda _: None)
    batch.place_in(0, np.full((images + 2, 3, *TRANSFORM.size), 7, np.uint8))
    return batch


def test_pieces_have_no_gap_and_leave_out_what_is_found() -> None:
    batch = batch_of(10, crashing=(4,))
    assert [(one.first, one.count) for one in batch.pieces(3)] == [
        (0, 3),
        (3, 1),
        (5, 1),
        (6, 3),
        (9, 1),
    ]
    batch.received(1, [FINE, FINE])
    left = [(one.first, one.count) for one in batch.remaining([0, 1, 2, 3, 5, 6, 8])]
    assert left == [(0, 1), (3, 1), (5, 2), (8, 1)]


def test_it_is_done_with_its_last_image_however_often_one_arrives() -> None:
    batch = batch_of(3)
    for _ in range(2):
        batch.received(0, [FINE, FINE])
    batch.received(2, [("corrupt", None, None)])
    loaded = batch.result()
    assert [one.reason for one in loaded] == [None, None, "corrupt"]
    assert loaded.pixels is not None
    assert loaded.pixels.shape == (3, 3, *TRANSFORM.size)


def test_two_crashes_or_six_kills_are_enough() -> None:
    for weight, times in ((ENOUGH // 2, 2), (1, 6)):
        batch = batch_of(1)
        assert [batch.blame(0, weight) for _ in range(times)] == [False] * (times - 1) + [True]
        loaded = batch.result()
        assert loaded[0].reason == "crashed"
        assert loaded.pixels is not None
        assert not loaded.pixels.any()


def test_what_is_known_stays_and_an_error_ends_the_wait() -> None:
    batch = batch_of(3, crashing=(1,))
    batch.received(0, [FINE, FINE, UNREAD], OSError("slow down"))
    with pytest.raises(OSError, match="slow down"):
        batch.result()
    other = batch_of(3, crashing=(1,))
    other.received(0, [FINE, FINE, FINE])
    assert [one.reason for one in other.result()] == [None, "crashed", None]

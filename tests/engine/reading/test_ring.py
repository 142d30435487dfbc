import os

from pipeline.engine.reading.ring import MOST_READERS, NOTHING, Ring, Shape


def test_whoever_opens_it_sees_the_same_memory() -> None:
    shape = Shape(3, 4, (5, 6))
    ring = Ring(shape)
    other = Ring(shape, os.dup(ring.descriptor))
    assert ring.pixels.shape == (3, 4, 3, 5, 6)
    assert ring.held.tolist() == [NOTHING] * MOST_READERS
    ring.pixels[2, 3, 2, 4, 5] = 7
    other.held[MOST_READERS - 1] = 11
    assert other.pixels[2, 3, 2, 4, 5] == 7
    assert other.pixels.sum() == 7
    assert ring.held[-1] == 11
    ring.close()
    other.close()
    assert ring.pixels.sum() == 7, "arrays outlive the file"


def test_it_has_no_name() -> None:
    before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    ring = Ring(Shape(1, 1, (8, 8)))
    assert not before or set(os.listdir("/dev/shm")) <= before
    ring.close()

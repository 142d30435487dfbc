from tests.chaos.soak import FAULTS, _differing, soak


def test_a_short_soak_loses_nothing() -> None:
    tally = soak(minutes=1 / 60, seed=1)
    assert tally.rounds >= 1
    assert tally.faults.keys() <= {fault.__name__ for fault in FAULTS}
    assert (tally.lost, tally.doubled, tally.differing) == (0, 0, 0)


def test_every_byte_that_differs_is_counted() -> None:
    assert _differing({"a": b"123", "b": b"1"}, {"a": b"12", "b": b"2", "c": b"45"}) == 4

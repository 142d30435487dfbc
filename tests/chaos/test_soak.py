from collections import Counter
from random import Random

from pipeline.config import RunConfig
from tests.chaos import soak as soaking
from tests.chaos.soak import FAULTS, Tally, _differing, soak


def test_a_short_soak_loses_nothing() -> None:
    tally = soak(minutes=1 / 60, seed=1)
    assert tally.rounds >= 1
    assert tally.faults.keys() <= {fault.__name__ for fault in FAULTS}
    assert (tally.lost, tally.doubled, tally.differing) == (0, 0, 0)
    assert tally.passed, f"no fault was injected: {tally}"


def test_a_soak_without_a_fault_does_not_pass(monkeypatch) -> None:
    def nothing(config: RunConfig, dice: Random) -> bool:
        return False

    monkeypatch.setattr(soaking, "FAULTS", (nothing,))
    monkeypatch.setattr(soaking, "_TRIES", 1)
    tally = soak(minutes=0, seed=1)
    assert (tally.rounds, tally.faults.total(), tally.passed) == (1, 0, False)


def test_a_soak_that_loses_anything_does_not_pass() -> None:
    faults = Counter({"rot_a_bit": 3})
    assert Tally(rounds=1, faults=faults).passed
    for loss in ("lost", "doubled", "differing"):
        assert not Tally(rounds=1, faults=faults, **{loss: 1}).passed


def test_every_byte_that_differs_is_counted() -> None:
    assert _differing({"a": b"123", "b": b"1"}, {"a": b"12", "b": b"2", "c": b"45"}) == 4

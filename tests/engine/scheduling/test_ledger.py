import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.scheduling.failure import Failure
from pipeline.engine.scheduling.interface import Attempt
from pipeline.engine.scheduling.ledger import Ledger
from pipeline.errors import ConfigError, UnitFailed
from pipeline.store import Unit

UNITS = [Unit(number, 8 * number, 8 * number + 8) for number in range(4)]
DEATH = RuntimeError("the worker died")


def take(ledger: Ledger, **how: object) -> Attempt:
    attempt = ledger.next(**{"idle": True, **how})  # type: ignore[arg-type]
    assert attempt is not None
    return attempt


def test_units_come_in_order() -> None:
    ledger = Ledger(UNITS, attempts=3)
    assert [take(ledger, idle=False).unit for _ in UNITS] == UNITS
    assert ledger.next(idle=True) is None
    assert len(ledger) == 0


def test_an_error_is_charged_until_the_last_attempt() -> None:
    ledger = Ledger(UNITS, attempts=3)
    for number in (1, 2):
        attempt = take(ledger)
        assert (attempt.unit, attempt.number) == (UNITS[0], number)
        ledger.failed(attempt, OSError("503"))
    with pytest.raises(UnitFailed, match=r"unit 0 .* failed 3 times, last with OSError: 503"):
        ledger.failed(take(ledger), OSError("503"))


def test_an_error_with_a_next_step_is_raised_at_once() -> None:
    ledger = Ledger(UNITS, attempts=3)
    with pytest.raises(ConfigError):
        ledger.failed(take(ledger), ConfigError("fix it"))


def test_a_death_with_several_units_is_not_charged_and_each_is_tried_alone() -> None:
    ledger = Ledger(UNITS, attempts=3)
    held = [take(ledger, idle=False) for _ in range(3)]
    ledger.died(held, DEATH)
    assert ledger.next(idle=False) is None, "a busy worker waits until it is idle"
    for unit in UNITS[:3]:
        attempt = take(ledger)
        assert (attempt.unit, attempt.number, attempt.alone) == (unit, 1, True)
    assert not take(ledger, idle=False).alone


def test_everything_that_goes_wrong_is_reported() -> None:
    reported: list[Failure] = []
    ledger = Ledger(UNITS, attempts=2, on_failure=reported.append)
    ledger.failed(take(ledger), OSError("503"))
    held = [take(ledger, idle=False) for _ in range(2)]
    ledger.died(held, DEATH, "node 1")
    ledger.requeue([take(ledger)], "node 2")
    ledger.died([], DEATH)
    with pytest.raises(UnitFailed):
        ledger.failed(take(ledger), OSError("503 again"))
    assert [(one.kind, [unit.id for unit in one.units], one.attempt) for one in reported] == [
        ("retry", [0], 1),
        ("worker_lost", [0, 1], 0),
        ("node_lost", [0], 0),
        ("worker_lost", [], 0),
        ("gave_up", [0], 2),
    ]
    assert [one.node for one in reported] == [None, "node 1", "node 2", None, None]
    assert reported[0].error == "OSError: 503"


def test_an_error_that_trying_again_cannot_help_is_reported_as_given_up() -> None:
    reported: list[Failure] = []
    ledger = Ledger(UNITS, attempts=3, on_failure=reported.append)
    with pytest.raises(ConfigError):
        ledger.failed(take(ledger), ConfigError("fix it"))
    assert [one.kind for one in reported] == ["gave_up"]


def test_a_slot_avoids_the_units_its_actor_died_with() -> None:
    ledger = Ledger(UNITS, attempts=3)
    ledger.died([take(ledger), take(ledger)], DEATH)
    assert take(ledger, avoid={0}).unit == UNITS[1]
    assert take(ledger, avoid={0}).unit == UNITS[2]
    assert take(ledger).unit == UNITS[0]


def test_after_its_last_death_a_unit_gets_one_careful_attempt() -> None:
    ledger = Ledger(UNITS[:1], attempts=2)
    for careful in (False, False, True):
        attempt = take(ledger)
        assert attempt.careful == careful
        if careful:
            with pytest.raises(UnitFailed):
                ledger.died([attempt], DEATH)
        else:
            ledger.died([attempt], DEATH)


def test_units_of_a_lost_node_are_requeued_first_and_uncharged() -> None:
    ledger = Ledger(UNITS, attempts=1)
    ledger.requeue([take(ledger, idle=False) for _ in range(2)])
    assert [take(ledger, idle=False) for _ in range(4)] == [Attempt(unit) for unit in UNITS]


@given(st.data())
def test_every_unit_finishes_exactly_once_or_the_run_gives_up(data: st.DataObject) -> None:
    ledger, hands, finished = Ledger(UNITS, attempts=3), ([], []), []  # type: ignore[var-annotated]
    try:
        for _ in range(1000):
            if not ledger and not any(hands):
                break
            hand = hands[data.draw(st.integers(0, 1))]
            while len(hand) < 3 and not any(attempt.alone for attempt in hand):
                attempt = ledger.next(idle=not hand)
                if attempt is None:
                    break
                hand.append(attempt)
            if not hand:
                continue
            match data.draw(st.sampled_from(["finish", "finish", "fail", "die", "lose"])):
                case "finish":
                    finished.append(hand.pop(0).unit.id)
                case "fail":
                    ledger.failed(hand.pop(0), OSError("503"))
                case "die":
                    held, hand[:] = list(hand), []
                    ledger.died(held, DEATH)
                case "lose":
                    held, hand[:] = list(hand), []
                    ledger.requeue(held)
    except UnitFailed:
        return
    held_now = [attempt.unit.id for hand in hands for attempt in hand]
    assert sorted(finished + held_now) == sorted(set(finished + held_now))
    if not ledger and not held_now:
        assert sorted(finished) == [0, 1, 2, 3]

import pytest
import torch

from pipeline.engine.benchmark.timing import Timer

CPU = torch.device("cpu")


def test_steps_are_taken_in_turn_after_one_that_warms_up() -> None:
    taken: list[str] = []
    steps = {name: (lambda n=name: taken.append(n)) for name in "ab"}  # type: ignore[misc]
    rates = Timer(CPU, 0.001).rates(steps, 7)
    assert rates.keys() == steps.keys()
    assert min(rates.values()) > 0
    assert taken[:4] == ["a", "b", "a", "b"]
    assert taken.count("a") == taken.count("b")


def test_a_step_that_takes_too_long_is_taken_once() -> None:
    taken: list[int] = []
    assert Timer(CPU, 0.0).rate(lambda: taken.append(1), 7) > 0
    assert taken == [1]


def test_the_error_of_a_step_is_passed_on() -> None:
    with pytest.raises(ZeroDivisionError):
        Timer(CPU, 0.0).rate(lambda: 1 / 0, 1)

import logging

import pytest

from pipeline.engine.scheduling.failure import Failure, warn
from pipeline.store import Unit

ONE, TWO = Unit(3, 24, 32), Unit(4, 32, 40)
ERROR = OSError("503: slow down\n<xml>pages of detail</xml>")


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (
            Failure("retry", (ONE,), 1, ERROR),
            "unit 3 (rows 24 to 31): attempt 1 failed, tried again: OSError: 503: slow down",
        ),
        (
            Failure("gave_up", (ONE,), 3, ERROR),
            "unit 3 (rows 24 to 31): attempt 3 failed, given up: OSError: 503: slow down",
        ),
        (
            Failure("worker_lost", (ONE, TWO), cause=ERROR),
            "a worker died with units 3, 4 in progress, tried again: OSError: 503: slow down",
        ),
        (
            Failure("worker_lost", (), cause=ERROR),
            "a worker could not start: OSError: 503: slow down",
        ),
        (
            Failure("node_lost", (ONE,) * 24, node="ab12"),
            "node ab12 is gone; reassigned to other workers: 24 units",
        ),
        (Failure("node_lost", (), node="ab12"), "node ab12 is gone; it had no units"),
    ],
)
def test_a_failure_is_one_sentence(failure, sentence):
    assert failure.sentence == sentence
    assert "\n" not in failure.sentence


def test_the_traceback_has_the_causes():
    try:
        try:
            raise KeyError("the worker's own")
        except KeyError as error:
            raise ValueError("what reached the driver") from error
    except ValueError as error:
        text = Failure("retry", (ONE,), 1, error).traceback
    assert "the worker's own" in text
    assert "what reached the driver" in text
    assert "test_failure.py" in text


def test_without_a_callback_it_is_logged_as_a_warning(caplog):
    warn(Failure("retry", (ONE,), 1, ERROR))
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "pipeline.engine.scheduling.failure")
    assert "attempt 1 failed" in record.message

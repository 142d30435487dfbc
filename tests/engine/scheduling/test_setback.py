import logging

import pytest

from pipeline.engine.scheduling.setback import Setback, warn
from pipeline.store import Unit

ONE, TWO = Unit(3, 24, 32), Unit(4, 32, 40)
ERROR = OSError("503: slow down\n<xml>pages of detail</xml>")


@pytest.mark.parametrize(
    ("setback", "sentence"),
    [
        (
            Setback("retry", (ONE,), 1, ERROR),
            "unit 3 (rows 24 to 31): attempt 1 failed, tried again: OSError: 503: slow down",
        ),
        (
            Setback("gave_up", (ONE,), 3, ERROR),
            "unit 3 (rows 24 to 31): attempt 3 failed, given up: OSError: 503: slow down",
        ),
        (
            Setback("worker_lost", (ONE, TWO), cause=ERROR),
            "a worker died with units 3, 4 in hand, tried again: OSError: 503: slow down",
        ),
        (
            Setback("worker_lost", (), cause=ERROR),
            "a worker could not start: OSError: 503: slow down",
        ),
        (
            Setback("node_lost", (ONE,) * 24, node="ab12"),
            "node ab12 is gone; handed to other workers: 24 units",
        ),
        (Setback("node_lost", (), node="ab12"), "node ab12 is gone; it had no unit in hand"),
    ],
)
def test_a_setback_is_one_sentence(setback, sentence):
    assert setback.sentence == sentence
    assert "\n" not in setback.sentence


def test_the_traceback_has_the_causes():
    try:
        try:
            raise KeyError("the worker's own")
        except KeyError as error:
            raise ValueError("what reached the driver") from error
    except ValueError as error:
        text = Setback("retry", (ONE,), 1, error).traceback
    assert "the worker's own" in text
    assert "what reached the driver" in text
    assert "test_setback.py" in text


def test_where_nobody_listens_it_is_a_warning(caplog):
    warn(Setback("retry", (ONE,), 1, ERROR))
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "pipeline.engine.scheduling.setback")
    assert "attempt 1 failed" in record.message

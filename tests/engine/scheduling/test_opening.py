import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipeline.engine import LocalEngine
from pipeline.engine.scheduling.opening import opening
from pipeline.errors import ConfigError

CALM = 30
"""Seconds in which anything that happens at all has happened."""


class Door:
    """Opens a local engine once it is let to, and counts."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.allowed, self.begun = threading.Event(), threading.Event()
        self.opened = self.closed = 0

    @contextmanager
    def __call__(self) -> Iterator[LocalEngine]:
        self.begun.set()
        assert self.allowed.wait(CALM)
        if self.error:
            raise self.error
        self.opened += 1
        try:
            yield LocalEngine()
        finally:
            self.closed += 1


def prepare_in_vain(door: Door) -> None:
    with opening(door) as ahead:
        ahead.begin()
        raise ConfigError("no such model")


def test_it_opens_while_something_else_is_done_and_is_closed() -> None:
    door = Door()
    with opening(door) as ahead:
        ahead.begin()
        ahead.begin()
        assert door.begun.wait(CALM)
        assert not door.opened
        door.allowed.set()
        assert ahead.engine() is ahead.engine()
        assert (door.opened, door.closed) == (1, 0)
    assert (door.opened, door.closed) == (1, 1)


def test_an_engine_that_nobody_needs_is_never_opened() -> None:
    door = Door()
    with opening(door):
        pass
    assert not door.begun.is_set()


def test_an_error_of_the_preparation_does_not_wait_for_the_engine_which_is_closed() -> None:
    door, after = Door(), Door()
    with pytest.raises(ConfigError, match="no such model"):
        prepare_in_vain(door)
    assert door.begun.wait(CALM)
    assert (door.opened, door.closed) == (0, 0)
    with opening(after) as ahead:
        ahead.begin()
        after.allowed.set()
        assert not after.begun.is_set(), "one engine at a time"
        door.allowed.set()
        ahead.engine()
        assert (door.opened, door.closed, after.opened) == (1, 1, 1)


def test_engines_that_are_left_one_after_the_other_are_all_closed_in_turn() -> None:
    doors = [Door() for _ in range(3)]
    for door in doors:
        with pytest.raises(ConfigError, match="no such model"):
            prepare_in_vain(door)
    assert doors[0].begun.wait(CALM)
    assert not any(door.begun.is_set() for door in doors[1:])
    last = Door()
    for door in (*doors, last):
        door.allowed.set()
    with opening(last) as ahead:
        ahead.engine()
    assert [(door.opened, door.closed) for door in (*doors, last)] == [(1, 1)] * 4


def test_an_engine_that_cannot_be_opened_says_so_to_who_needs_it() -> None:
    door = Door(ConfigError("no room"))
    door.allowed.set()
    with opening(door) as ahead:
        ahead.begin()
    with pytest.raises(ConfigError, match="no room"), opening(door) as ahead:
        ahead.engine()
    with pytest.raises(ConfigError, match="no such model"):
        prepare_in_vain(door)

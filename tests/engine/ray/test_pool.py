import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import ray

from pipeline.config import ClusterConfig
from pipeline.engine import Attempt, Job
from pipeline.engine.ray import RayEngine
from pipeline.errors import ConfigError
from pipeline.store import Unit

RARE = "mailbox"
"""A module that no worker imports by itself."""


def test_more_actors_than_this_machine_has_room_for_are_refused_at_once() -> None:
    asked = ClusterConfig(address="local", actors=1000, gpus_per_actor=0, cpus_per_actor=1)
    with pytest.raises(ConfigError, match=r"room for \d+ actors .* not 1000"), RayEngine(asked):
        pass
    assert not ray.is_initialized()


class Witness:
    """A worker whose result is the process that it works in."""

    def __init__(self, imported: bool) -> None:
        self._imported = imported

    def read(self, attempt: Attempt) -> int:
        return attempt.unit.id

    def compute(self, unit: int) -> int:
        return unit

    def commit(self, unit: int) -> tuple[int, int, bool]:
        return unit, os.getpid(), self._imported


@contextmanager
def witness(uri: str, threads: int) -> Iterator[Witness]:
    yield Witness(RARE in sys.modules)


def test_the_first_actors_start_with_ray_and_have_imported_what_they_need() -> None:
    asked = ClusterConfig(address="local", actors=2, gpus_per_actor=0, cpus_per_actor=1)
    with RayEngine(asked, imports=("no_such_module", RARE)) as engine:
        one = list(engine.run(Job("", 1, witness), [Unit(0, 0, 1)]))
        assert [(unit, imported) for unit, _, imported in one] == [(0, True)]
        two = list(engine.run(Job("", 1, witness), [Unit(0, 0, 1), Unit(1, 1, 2)]))
        assert one[0][1] in {pid for _, pid, imported in two if imported}, "it is kept"

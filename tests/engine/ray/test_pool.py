import pytest
import ray

from pipeline.config import ClusterConfig
from pipeline.engine.ray import RayEngine
from pipeline.errors import ConfigError


def test_more_actors_than_this_machine_has_room_for_are_refused_at_once() -> None:
    asked = ClusterConfig(address="local", actors=1000, gpus_per_actor=0, cpus_per_actor=1)
    with pytest.raises(ConfigError, match=r"room for \d+ actors .* not 1000"), RayEngine(asked):
        pass
    assert not ray.is_initialized()

import pytest

from pipeline.config import ClusterConfig
from pipeline.engine.planning.room import workers_here
from pipeline.engine.scheduling.local import LocalEngine


@pytest.mark.parametrize(
    ("settings", "gpus", "workers"),
    [
        ({}, 0, 8),
        ({"cpus_per_actor": 3}, 0, 2),
        ({"cpus_per_actor": 99}, 0, 1),
        ({}, 4, 2),
        ({"cpus_per_actor": 1}, 4, 4),
        ({"address": "local"}, 0, 8),
        ({"address": "ray://head:10001"}, 0, 1),
        ({"engine": "local"}, 0, 1),
    ],
)
def test_this_machine_has_room_for_whole_actors(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], gpus: int, workers: int
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(LocalEngine, "cpus", 8)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert workers_here(ClusterConfig(**settings)) == workers


def test_a_cluster_named_by_the_environment_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert workers_here(ClusterConfig()) == 1

import pytest

from pipeline.config import ClusterConfig
from pipeline.engine.scheduling.share import Share, share_of


@pytest.mark.parametrize(
    ("cpus", "gpus", "resources", "actors"),
    [
        (1, 0, {"CPU": 4}, 4),
        (4, 1, {"CPU": 32, "GPU": 8}, 8),
        (4, 1, {"CPU": 12, "GPU": 8}, 3),
        (4, 1, {"CPU": 96}, 0),
        (1, 0.25, {"CPU": 32, "GPU": 2}, 8),
        (1, 0.4, {"CPU": 32, "GPU": 2}, 4),
        (1, 1 / 3, {"CPU": 32, "GPU": 1}, 3),
        (1, 2, {"CPU": 32, "GPU": 5}, 2),
        (1, 0, {"memory": 1}, 0),
    ],
)
def test_a_node_has_room_for_whole_actors(
    cpus: int, gpus: float, resources: dict[str, float], actors: int
) -> None:
    assert Share(cpus, gpus).fits(resources) == actors


@pytest.mark.parametrize(
    ("settings", "resources", "share"),
    [
        ({}, {"CPU": 8}, Share(1, 0)),
        ({}, {"CPU": 8, "GPU": 2}, Share(4, 1)),
        ({"gpus_per_actor": 0}, {"CPU": 8, "GPU": 2}, Share(1, 0)),
        ({"gpus_per_actor": 0.5, "cpus_per_actor": 2}, {"CPU": 8}, Share(2, 0.5)),
    ],
)
def test_an_actor_gets_a_whole_gpu_where_there_is_one(
    settings: dict[str, float], resources: dict[str, float], share: Share
) -> None:
    assert share_of(ClusterConfig(**settings), resources) == share

import pytest

from pipeline.engine.ray.nodes import Share


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

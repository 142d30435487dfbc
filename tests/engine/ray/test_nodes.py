import pytest

from pipeline.engine.ray.nodes import Share, connect
from pipeline.errors import FlowatlasError


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


def test_a_ray_that_does_not_start_or_is_not_there_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(**_: object) -> None:
        raise Exception("The current node timed out during startup. This could happen …")

    monkeypatch.setattr("ray.init", slow)
    with pytest.raises(FlowatlasError, match=r"not start on this machine: The .* startup"):
        connect("local")
    with pytest.raises(
        FlowatlasError, match=r"not join a cluster at 10\.0\.0\.1:6379: .*engine: local"
    ):
        connect("10.0.0.1:6379")

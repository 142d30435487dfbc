import pytest

from pipeline.engine.ray.nodes import connect
from pipeline.errors import FlowatlasError


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

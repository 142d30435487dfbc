import pytest

from pipeline.engine.ray.nodes import connect, start
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


def test_a_ray_that_is_slow_once_is_started_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[object] = []

    def slow_at_first(**options: object) -> None:
        calls.append(options)
        if len(calls) == 1:
            raise Exception("The current node timed out during startup.")

    monkeypatch.setattr("ray.init", slow_at_first)
    start(num_cpus=1)
    assert calls == [{"address": "local", "num_cpus": 1}] * 2
    assert "is started again: The current node timed out" in caplog.text

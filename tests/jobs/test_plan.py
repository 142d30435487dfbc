from pathlib import Path

import pytest
import yaml

import jobs.plan as planning
from pipeline.engine.benchmark import half_precision
from pipeline.engine.scheduling.local import LocalEngine
from tests.engine.datasets import small_config
from tests.jobs.shell import flowatlas


@pytest.fixture
def config(tmp_path: Path) -> str:
    cluster = {"cpus_per_actor": 1, "gpus_per_actor": 0}
    path = tmp_path / "audit.yaml"
    content = small_config(tmp_path, cluster=cluster).model_dump(mode="json")
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.mark.parametrize(("long", "measured"), [(1e9, False), (0.0, True)])
def test_other_precisions_are_measured_where_they_can_save_time(
    config: str, monkeypatch: pytest.MonkeyPatch, long: float, measured: bool
) -> None:
    calls = []
    monkeypatch.setattr(half_precision, "try_bfloat16", lambda *_: calls.append(1))
    monkeypatch.setattr(planning, "_LONG", long)
    assert flowatlas("plan", config).returncode == 0
    assert bool(calls) == measured


def test_the_actors_are_those_that_the_run_will_have(
    config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cpus, words in ((3, "with 3 actors"), (99, "with 5 actors")):  # of 5 units
        monkeypatch.setattr(LocalEngine, "cpus", cpus)
        assert words in flowatlas("plan", config).stdout
    assert "with 1 actor at" in flowatlas("plan", config, "--rate", "2").stdout

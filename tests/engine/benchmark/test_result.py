from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config import ClusterConfig, RunConfig
from pipeline.engine.benchmark.result import Benchmark, load_benchmark, place_beside
from pipeline.errors import ConfigError
from tests.engine.benchmark.results import result
from tests.store.runs import spec_of


def config(**cluster: object) -> RunConfig:
    return RunConfig.model_construct(cluster=ClusterConfig.model_validate(cluster))


SPEC = replace(spec_of(), config_hash="config", weights_sha256="weights")


def test_a_result_is_the_same_after_json(tmp_path: Path) -> None:
    found = result()
    assert Benchmark.from_json(found.to_json()) == found
    path = tmp_path / "audit.yaml"
    assert load_benchmark(path) is None
    assert place_beside(path).name == "audit.benchmark.json"
    place_beside(path).write_text(found.to_json())
    assert load_benchmark(path) == found


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"made": 1}'])
def test_what_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    place_beside(tmp_path / "audit.yaml").write_text(text)
    with pytest.raises(ConfigError, match="run the benchmark again"):
        load_benchmark(tmp_path / "audit.yaml")


def test_the_share_is_of_the_operations_that_a_part_really_has() -> None:
    assert result().share("forward") == pytest.approx(0.5)
    assert result().share("compute") == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("cluster", "actors", "cpus"),
    [
        ({"cpus_per_actor": 4}, 1, 4),
        ({"actors": 1, "cpus_per_actor": 1}, 1, 1),
        ({"actors": 4}, 4, 1),
        ({"actors": "auto", "cpus_per_actor": 1}, 4, 1),
        ({"actors": 3, "cpus_per_actor": 1}, 4, 1),
    ],
)
def test_a_run_finds_what_was_measured_with_its_settings(
    cluster: dict[str, object], actors: int, cpus: int
) -> None:
    found = result().of(config(**cluster), SPEC)
    assert found is not None
    assert (found.actors, found.cpus_per_actor) == (actors, cpus)


def test_other_settings_are_not_mistaken_for_those_measured() -> None:
    assert result().of(config(cpus_per_actor=2), SPEC) is None
    assert result().of(config(readers="processes"), SPEC) is None
    assert result().of(config(), replace(SPEC, config_hash="other")) is None
    assert result().of(config(), replace(SPEC, weights_sha256="other")) is None

from pathlib import Path

import pytest

from pipeline.config import ClusterConfig, RunConfig
from pipeline.engine import plan_run, prepare
from pipeline.engine.benchmark.committing import scratch
from pipeline.engine.benchmark.result import Benchmark
from pipeline.engine.benchmark.run import benchmark, opened
from pipeline.engine.planning.measured import measure_workers
from pipeline.engine.planning.sample import Sample
from pipeline.errors import ConfigError
from tests.engine.datasets import small_config


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    return small_config(tmp_path_factory.mktemp("benchmark"))


@pytest.fixture(scope="module")
def found(config: RunConfig) -> Benchmark:
    return benchmark(config, seconds=1)


def test_every_part_is_measured_alone_and_all_together(found: Benchmark) -> None:
    assert found.alone.keys() == {
        *("fetch", "decode", "transform", "reading", "compute", "measure", "step", "commit"),
        *("forward", "forward+backward"),
    }
    assert all(0 < rate < 1e7 for rate in found.alone.values())
    assert found.readers[0].count == 1
    first = found.together[0]
    assert (first.actors, first.cpus_per_actor, first.gpus_per_actor) == (1, 1, 0)
    assert first.images_per_second > 0
    assert {"fetch", "decode", "compute", "commit", "wait"} <= first.measured.stages.keys()
    assert found.recommended["cluster"]["engine"] == "local"
    assert found.peak_bytes > found.planned_bytes > 0


def test_operations_are_those_of_the_model_and_more_of_the_method(found: Benchmark) -> None:
    # A gradient to the image costs what the forward pass does; the method stops at the first block.
    forward = found.operations["forward"]
    assert found.operations["forward+backward"] == pytest.approx(2 * forward, rel=0.2)
    assert forward < found.operations["compute"] < 3 * forward
    assert found.matmul > 0
    assert found.share("forward") > 0


def test_nothing_is_left_and_a_plan_can_use_it(config: RunConfig, found: Benchmark) -> None:
    names = {path.name for path in Path(config.run).parent.iterdir()}
    assert names == {"images", "model.safetensors"}
    spec = prepare(config).spec
    together = found.of(config, spec)
    assert together is not None
    planned = plan_run(spec, batch_size=4, measured=together.measured)
    assert planned.seconds is not None
    assert planned.seconds >= 40 / together.measured.images_per_second


def test_errors_come_before_anything_is_measured(config: RunConfig, tmp_path: Path) -> None:
    parts: list[str] = []
    nowhere = config.dataset.model_copy(update={"source": str(tmp_path / "nowhere")})
    with pytest.raises(Exception, match="nowhere"):
        benchmark(config.model_copy(update={"dataset": nowhere}), 1, parts.append)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="nothing can be written"):
        benchmark(config.model_copy(update={"run": str(tmp_path / "file/run")}), 1, parts.append)
    assert parts == []


def test_settings_are_tried_one_after_another_on_one_ray(config: RunConfig) -> None:
    cluster = ClusterConfig(actors="auto", cpus_per_actor=1, gpus_per_actor=0)
    asked = config.model_copy(update={"cluster": cluster})
    sample = Sample(asked, prepare(asked), 40)
    with scratch(asked.run) as place, opened(asked) as (engine, settings):
        assert settings.actors == engine.cpus
        for actors in sorted({1, engine.cpus}):
            one = settings.model_copy(update={"actors": actors})
            here = asked.model_copy(update={"cluster": one})
            found = measure_workers(here, sample, 16, f"{place}/{actors}")
            assert (found.rows, found.workers) == (16, min(actors, 4))

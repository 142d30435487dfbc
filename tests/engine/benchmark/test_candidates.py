import pytest

from pipeline.config import ClusterConfig
from pipeline.engine.benchmark.candidates import candidates, fastest, powers, recommended
from pipeline.engine.benchmark.result import Together
from tests.engine.benchmark.results import measured


def configured(engine: str = "ray", **given: object) -> ClusterConfig:
    numbers = {"actors": 1, "cpus_per_actor": 1, "gpus_per_actor": 0.0, "readers": "threads"}
    return ClusterConfig.model_validate({"engine": engine, **numbers, **given})


def shapes(tried: list[ClusterConfig]) -> list[tuple[object, object, object]]:
    return [(one.actors, one.cpus_per_actor, one.gpus_per_actor) for one in tried]


def together(actors: int, rate: float, cpus: int = 1, gpus: float = 0.0) -> Together:
    return Together(actors, cpus, gpus, "threads", measured(images_per_second=rate))


def test_the_configured_settings_are_tried_first_and_once() -> None:
    tried = shapes(candidates(configured(actors=2), cpus=4, gpus=0))
    assert tried[0] == (2, 1, 0)
    assert sorted(tried) == [(1, 1, 0), (1, 4, 0), (2, 1, 0), (4, 1, 0)]


def test_beside_gpus_actors_share_them_and_all_cpus() -> None:
    one = shapes(candidates(configured(gpus_per_actor=1.0, cpus_per_actor=4), cpus=16, gpus=1))
    assert one == [(1, 4, 1), (1, 16, 1), (2, 8, 0.5), (4, 4, 0.25)]
    eight = shapes(candidates(configured(gpus_per_actor=1.0, cpus_per_actor=4), cpus=16, gpus=8))
    assert eight == [(1, 4, 1), (8, 2, 1), (16, 1, 0.5)]


def test_a_local_engine_has_one_actor() -> None:
    assert shapes(candidates(configured("local"), cpus=4, gpus=0)) == [(1, 1, 0), (1, 4, 0)]
    assert shapes(candidates(configured("local"), cpus=1, gpus=0)) == [(1, 1, 0)]


@pytest.mark.parametrize(("most", "counts"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6])])
def test_counts_double_up_to_all(most: int, counts: list[int]) -> None:
    assert powers(most) == counts


def test_the_fastest_is_recommended_and_fewer_actors_of_nearly_equal_ones() -> None:
    some = [together(1, 10), together(2, 9.9), together(4, 5)]
    assert fastest(some).actors == 4 - 2
    content = recommended(some, "ray", {64: 20.0}, 64)
    assert content == {
        "cluster": {"actors": 2, "gpus_per_actor": 0.0, "cpus_per_actor": 1, "readers": "threads"}
    }


def test_another_batch_size_is_recommended_only_where_it_pays() -> None:
    some = [together(1, 10)]
    assert "flow" not in recommended(some, "local", {64: 20.0, 128: 20.5}, 64)
    assert recommended(some, "local", {64: 20.0, 128: 24.0}, 64)["flow"] == {"batch_size": 128}

import numpy as np
import pytest

from pipeline.atlas import CONFIDENT, aggregate
from pipeline.audit.stats.estimates import (
    FAR,
    LEAST_IMAGES,
    QUIET_LIFT,
    STATISTICS,
    estimate,
    estimate_all,
)
from tests.atlas.synthetic import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = synthetic_run(tmp_path_factory.mktemp("run"), images=1200, classes=4, seed=2, tag_class=1)
    aggregate(run, tables=("label",), workers=1)
    return run


@pytest.fixture(scope="module")
def estimates(run):
    return {item.statistic.name: item for item in estimate_all(run.atlas())}


@pytest.fixture(scope="module")
def images(run):
    found = run.summary().to_table().to_pandas()
    found["mass_confident"] = found["mass_flow"].where(found["confidence"] >= CONFIDENT)
    return found


def test_every_statistic_is_estimated_from_its_images(estimates, images):
    assert set(estimates) == {statistic.name for statistic in STATISTICS}
    for statistic in STATISTICS:
        found = estimates[statistic.name]
        for number in range(4):
            own = images.loc[images["label"] == number, statistic.column].dropna()
            assert found.images[number] == len(own)
            if statistic.aspect == "tail":
                expected = own.quantile(0.9 if statistic.upwards else 0.1)
                assert found.value[number] == pytest.approx(expected, rel=0.16)
            elif statistic.aspect == "share":
                assert found.value[number] == pytest.approx((own >= FAR).mean())
            elif statistic.kind == "mass":
                expected = np.exp(np.log(own.clip(1e-12)).mean())
                assert found.value[number] == pytest.approx(expected)
            else:
                assert found.value[number] == pytest.approx(own.mean())


def test_suspicious_is_up(estimates):
    for name in ("corner_tl_flow_level", "corner_tl_flow_tail", "mass_confident_level"):
        assert estimates[name].score.argmax() == 1, name
    assert estimates["mass_confident_level"].value.argmin() == 1


def test_errors_are_those_of_a_bootstrap(estimates, images):
    rng = np.random.default_rng(0)
    own = images.loc[images["label"] == 2]
    for name, column, read_one in (
        ("border_flow_level", "border_flow", lambda v: np.log2(v.mean() + QUIET_LIFT)),
        ("border_flow_tail", "border_flow", tail_of),
        ("convergence_depth_level", "convergence_depth", np.mean),
    ):
        values = own[column].dropna().to_numpy()
        drawn = [read_one(rng.choice(values, len(values))) for _ in range(400)]
        assert estimates[name].error[2] == pytest.approx(np.std(drawn), rel=0.35), name


def test_the_level_of_a_corner_is_scored_against_the_other_corners_of_its_class(estimates):
    names = [f"corner_{corner}_flow_level" for corner in ("tl", "tr", "bl", "br")]
    octaves = np.log2(np.stack([estimates[name].value for name in names]) + QUIET_LIFT)
    for i, name in enumerate(names):
        expected = octaves[i] - np.median(np.delete(octaves, i, axis=0), axis=0)
        np.testing.assert_allclose(estimates[name].score, expected)
        assert (estimates[name].error > 0).all()


def test_a_tail_is_scored_against_the_median_of_its_class(estimates, images):
    for statistic in STATISTICS:
        if statistic.aspect == "tail":
            own = images.loc[images["label"] == 3, statistic.column].dropna().to_numpy()
            expected = tail_of(own, 0.9 if statistic.upwards else 0.1, statistic.kind == "mass")
            sign = 1 if statistic.upwards else -1
            assert estimates[statistic.name].score[3] == pytest.approx(sign * expected, abs=0.25)


def tail_of(values, q=0.9, mass=False):
    low, high = np.log2(np.quantile(values, [0.5, q]) + (0 if mass else QUIET_LIFT))
    return high - low


def test_a_class_with_few_images_is_not_judged(tmp_path):
    run = synthetic_run(tmp_path, images=4 * (LEAST_IMAGES - 1), classes=4)
    aggregate(run, tables=("label",), workers=1)
    found = estimate(run.atlas(), STATISTICS[0])
    assert np.isnan(found.value).all()
    assert np.isnan(found.score).all()

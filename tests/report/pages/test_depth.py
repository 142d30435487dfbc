import numpy as np
import pytest

from pipeline.atlas import open_atlas
from pipeline.report.pages.depth import class_charts, read_depths, run_charts


@pytest.fixture(scope="module")
def depths(run):
    return read_depths(open_atlas(run, "label"))


@pytest.fixture(scope="module")
def images(run):
    return run.summary().to_table().to_pandas().query("status == 1")


def test_profiles_are_the_quantiles_of_the_images(depths, images):
    entropy = next(profile for profile in depths.profiles if profile.title == "Entropy")
    for layer in range(4):
        column = images[f"entropy_l{layer:02d}"]
        assert entropy.run[:, layer] == pytest.approx(column.quantile([0.1, 0.5, 0.9]), abs=0.01)
        own = column[images.label == 3].quantile([0.1, 0.5, 0.9])
        assert entropy.classes[:, layer, 3] == pytest.approx(own, abs=0.01)


def test_the_reference_of_a_class_is_the_median_of_all_others(depths, images):
    entropy = next(profile for profile in depths.profiles if profile.title == "Entropy")
    for number in (0, 3):
        column = images[images.label != number].entropy_l02
        assert entropy.others[2, number] == pytest.approx(column.median(), abs=0.01)
    own, run = images[images.label == 3].entropy_l02, images.entropy_l02
    assert entropy.others[2, 3] != entropy.run[1, 2] or own.median() == run.median()


def test_shares_are_class_means_and_sum_to_one(depths, images):
    shares = depths.shares
    assert shares.sum(axis=1) == pytest.approx(np.ones(len(shares)), abs=1e-5)
    expected = images[images.label == 2].share_l01.mean()
    assert shares[2, 1] == pytest.approx(expected, abs=1e-6)


def test_convergence_counts_every_image_that_converges(depths, images):
    expected = images[images.label == 4].convergence_depth.value_counts()
    counts = {layer: count for layer, count in enumerate(depths.convergence[4]) if count}
    assert counts == expected.to_dict()


def test_only_class_charts_have_the_others_for_reference(depths):
    run, own = run_charts(depths), class_charts(depths, 1)
    assert [chart.title for chart in run] == [chart.title for chart in own]
    assert not any(chart.reference for chart in run)
    assert [bool(chart.reference) for chart in own] == [not chart.bars for chart in own]
    assert run[-1].title == "Convergence depth"
    assert len(run[-1].bars) == 4

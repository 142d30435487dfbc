import numpy as np
import pytest

from pipeline.atlas import CONFIDENT
from pipeline.audit.finding import SHOWN
from pipeline.audit.shortcuts.detection import Signal
from pipeline.audit.shortcuts.evidence import extreme_images
from pipeline.audit.stats.estimates import STATISTICS
from tests.atlas.synthetic import synthetic_run

BY_NAME = {statistic.name: statistic for statistic in STATISTICS}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return synthetic_run(tmp_path_factory.mktemp("run"), images=300, classes=4, seed=5, layers=2)


def signal(name, number):
    return Signal(BY_NAME[name], number, 1, 1, 1, 9, 0.001, 100)


@pytest.mark.parametrize("table", ["label", "predicted"])
def test_the_most_extreme_images_of_the_class_come_first(run, table):
    far, faint = extreme_images(
        run, table, [signal("corner_tl_flow_tail", 2), signal("mass_confident_level", 1)]
    )
    images = run.summary().to_table().to_pandas()
    group = images["label" if table == "label" else "pred"]
    corner = images[group == 2].sort_values(
        ["corner_tl_flow", "row"], ascending=[False, True], kind="stable"
    )
    assert [row for row, _ in far] == corner["row"][:SHOWN].tolist()
    assert np.array_equal([value for _, value in far], corner["corner_tl_flow"][:SHOWN])
    sure = images[(group == 1) & (images["confidence"] >= CONFIDENT) & (images["status"] == 1)]
    expected = sure.sort_values(["mass_flow", "row"], kind="stable")["row"][:SHOWN]
    assert [row for row, _ in faint] == expected.tolist()


def test_no_signal_has_no_evidence(run):
    assert extreme_images(run, "label", []) == ()

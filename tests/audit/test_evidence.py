import numpy as np
import pytest

from pipeline.atlas import CONFIDENT
from pipeline.audit.evidence import EVIDENCE_SCHEMA, SHOWN, evidence_table
from pipeline.audit.readings import STATISTICS
from pipeline.audit.shortcut import Finding, Signal
from tests.atlas.synthetic import synthetic_run

BY_NAME = {statistic.name: statistic for statistic in STATISTICS}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return synthetic_run(tmp_path_factory.mktemp("run"), images=300, classes=4, seed=5, layers=2)


def finding(name, number):
    return Finding(Signal(BY_NAME[name], number, 1, 1, 1, 9, 0.001, 100), ())


@pytest.mark.parametrize("table", ["label", "predicted"])
def test_the_most_extreme_images_of_the_class_come_first(run, table):
    found = evidence_table(
        run, table, [finding("corner_tl_flow_tail", 2), finding("mass_confident_level", 1)]
    ).to_pandas()
    images = run.summary().to_table().to_pandas()
    group = images["label" if table == "label" else "pred"]
    corner = images[group == 2].sort_values(
        ["corner_tl_flow", "row"], ascending=[False, True], kind="stable"
    )
    own = found[found["finding"] == 0]
    assert own["row"].tolist() == corner["row"][:SHOWN].tolist()
    assert np.array_equal(own["value"], corner["corner_tl_flow"][:SHOWN])
    assert own["rank"].tolist() == list(range(SHOWN))
    sure = images[(group == 1) & (images["confidence"] >= CONFIDENT) & (images["status"] == 1)]
    expected = sure.sort_values(["mass_flow", "row"], kind="stable")["row"][:SHOWN]
    assert found[found["finding"] == 1]["row"].tolist() == expected.tolist()


def test_no_finding_has_no_evidence(run):
    assert evidence_table(run, "label", []).equals(EVIDENCE_SCHEMA.empty_table())

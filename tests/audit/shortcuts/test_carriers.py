import numpy as np
import pytest

from pipeline.atlas import aggregate
from pipeline.audit import audit
from pipeline.audit.findings_table import read_findings
from pipeline.audit.shortcuts.carriers import LEAST_CARRIERS, count_carriers
from pipeline.audit.shortcuts.detection import Signal
from pipeline.audit.stats.estimates import FAR, LOOKING, STATISTICS
from tests.atlas.synthetic import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = synthetic_run(tmp_path_factory.mktemp("carriers"), 1600, 8, seed=0, layers=2, tag_class=2)
    aggregate(run, tables=("label",), workers=1, k=1)
    return run


@pytest.mark.parametrize("aspect", ["level", "tail", "share"])
def test_carriers_are_the_images_that_have_the_lift(run, aspect):
    (statistic,) = (item for item in STATISTICS if item.name == f"corner_tl_flow_{aspect}")
    found = count_carriers(run.atlas("label"), Signal(statistic, 2, 1, 1, 1, 9, 0.001, 1))
    table = run.summary().to_table(columns=["label", "corner_tl_flow"]).to_pandas().dropna()
    looks = table.corner_tl_flow >= (FAR if aspect == "share" else LOOKING)
    own = table.label == 2
    if looks[own].sum() < LEAST_CARRIERS:
        assert found is None
        return
    assert (found.images, found.of) == (int(looks[own].sum()), int(own.sum()))
    assert found.elsewhere == pytest.approx(float(looks[~own].mean()))


def test_what_has_no_place_or_few_carriers_has_none(run):
    atlas = run.atlas("label")
    for name, class_id in (("convergence_depth_level", 2), ("corner_br_flow_tail", 0)):
        (statistic,) = (item for item in STATISTICS if item.name == name)
        assert count_carriers(atlas, Signal(statistic, class_id, 1, 1, 1, 9, 0.001, 1)) is None


def test_the_audit_counts_the_carriers_of_its_headline(run):
    audit(run)
    (found,) = read_findings(run)
    assert found.sentence.startswith(f"{found.carriers} of ")
    assert 0 <= found.elsewhere < found.carriers / found.images
    assert np.isfinite(dict(found.numbers)["carriers"])

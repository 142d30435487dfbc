import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.patterns.wrong_versus_right import (
    LEAST,
    WRONG_SCHEMA,
    compare_wrong,
    find_wrong,
    gap,
    wrong_table,
)
from pipeline.engine import run_flows
from pipeline.store import open_run
from tests.atlas.synthetic import synthetic_run
from tests.engine.datasets import small_config, write_images

VALUES = st.lists(st.integers(0, 9), min_size=3, max_size=40)


@given(VALUES, VALUES)
def test_auroc_and_p_are_scipys(wrong, right):
    found = gap(0, "x", np.array(wrong, float), np.array(right, float))
    expected = scipy.stats.mannwhitneyu(wrong, right, use_continuity=False, method="asymptotic")
    assert found.auroc == pytest.approx(expected.statistic / (len(wrong) * len(right)))
    if not np.isnan(expected.pvalue):
        assert found.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)


def test_hedges_g_of_a_textbook():
    """Two groups of ten, one standard deviation apart: 1 less 4 %."""
    base = np.linspace(-1, 1, 10)
    base /= base.std(ddof=1)
    assert gap(0, "x", base + 1, base).g == pytest.approx(1 - 3 / 71)
    assert gap(0, "x", base, base + 1).g == pytest.approx(-(1 - 3 / 71))
    assert np.isnan(gap(0, "x", np.ones(4), np.ones(5)).g)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return synthetic_run(tmp_path_factory.mktemp("run"), 2400, 8, seed=4, layers=2)


def test_every_column_of_every_class_is_compared(run):
    gaps = compare_wrong(run)
    images = run.summary().to_table().to_pandas()
    images = images[images["status"] == 1]
    assert {item.class_id for item in gaps} == set(range(8))
    assert {item.column for item in gaps} == {column.name for column in run.spec.columns}
    one = next(item for item in gaps if (item.class_id, item.column) == (3, "gini_flow"))
    own = images[(images["pred"] == 3) & images["gini_flow"].notna()]
    wrong = own[~own["correct"].astype(bool)]
    assert (one.wrong, one.right) == (len(wrong), len(own) - len(wrong))
    assert one.mean_wrong == pytest.approx(wrong["gini_flow"].mean())
    table = wrong_table(gaps, run.spec.classes)
    assert table.schema.equals(WRONG_SCHEMA)
    assert table.num_rows == len(gaps)


def test_what_is_zero_for_every_right_image_is_no_gap(tmp_path):
    write_images(tmp_path / "images", images=150)
    config = small_config(tmp_path, flow={"batch_size": 4, "target": "both"})
    run_flows(config)
    columns = {item.column for item in compare_wrong(open_run(config.run))}
    assert "entropy_flow" in columns
    assert not [name for name in columns if name.startswith("label_jsd")]


def test_where_wrong_is_chance_nothing_is_found(run):
    gaps = compare_wrong(run)
    assert min(item.q for item in gaps) > 0.001
    assert find_wrong(run, gaps, run.spec.classes) == []


def test_a_class_that_errs_where_it_looks_at_the_border_is_found(run):
    rng = np.random.default_rng(0)
    shift = [2.0 if number == 5 else 0.0 for number in range(24)]
    gaps = [
        gap(number, "border_flow", rng.normal(shift[number], 1, 30), rng.normal(0, 1, 270))
        for number in range(24)
    ]
    gaps = [item.__class__(**{**item.__dict__, "q": item.p}) for item in gaps]
    (found,) = find_wrong(run, gaps, [f"class {number}" for number in range(24)])
    assert (found.kind, found.class_id, found.statistic) == ("wrong_vs_right", 5, "border_flow")
    assert found.value > 0.9 > found.control
    assert "“class 5” goes wrong where border_flow is higher" in found.sentence
    images = run.summary().to_table().to_pandas().set_index("row")
    shown = images.loc[[row for row, _ in found.evidence]]
    assert (shown["pred"] == 5).all()
    assert not shown["correct"].any()


def test_few_wrong_images_say_nothing(tmp_path):
    small = synthetic_run(tmp_path, images=4 * LEAST, classes=4)
    assert compare_wrong(small) == ()
    assert wrong_table((), ()).num_rows == 0

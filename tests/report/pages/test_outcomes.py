import numpy as np
import pytest

from pipeline.atlas import aggregate
from pipeline.report.pages.outcomes import LEAST, open_outcomes, read_outcome
from pipeline.report.pictures.film_strips import bright
from pipeline.report.pictures.palettes import DIVERGING
from tests.atlas.synthetic import synthetic_run
from tests.report.pictures.test_sprites import shown


@pytest.fixture(scope="module")
def flows(run):
    """Return the final normalised flow of every image with mass, and the summary of these."""
    table = run.summary().to_table().to_pandas().sort_values("row")
    flow = run.read_maps(0, run.spec.rows).astype(np.float64).sum(axis=1)
    mass = flow.sum(axis=(1, 2))
    used = (mass > 0) & (table.status == 1).to_numpy()
    return flow[used] / mass[used, None, None], table[used]


def test_maps_are_means_of_the_right_and_of_the_wrong_images(run, flows):
    flow, table = flows
    atlas = open_outcomes(run, "label")
    compared = 0
    for number in range(len(run.spec.classes)):
        own = (table.label == number).to_numpy()
        right = table.correct.astype(bool).to_numpy()
        counts = (own & right).sum(), (own & ~right).sum()
        outcome = read_outcome(atlas, number)
        assert (outcome is not None) == (min(counts) >= LEAST)
        if outcome is None:
            continue
        compared += 1
        assert (outcome.right, outcome.wrong) == counts
        means = np.stack([flow[own & right].mean(axis=0), flow[own & ~right].mean(axis=0)])
        gap = (means[0] - means[1]) * means[0].size
        assert outcome.bright == pytest.approx(bright(means) * means[0].size, rel=1e-3)
        assert (outcome.least, outcome.most) == pytest.approx((gap.min(), gap.max()), rel=1e-3)
        assert 0 <= outcome.significant <= 1
        orange = shown(outcome.gap, 0).astype(int)
        more = np.unravel_index(gap.argmax(), gap.shape)
        less = np.unravel_index(gap.argmin(), gap.shape)
        red, _, blue = orange[more]
        assert red > blue
        red, _, blue = orange[less]
        assert blue > red
    assert compared


def test_white_is_no_difference():
    assert DIVERGING[128].min() > 240
    assert DIVERGING[255][0] > DIVERGING[255][2]
    assert DIVERGING[1][2] > DIVERGING[1][0]


def test_a_run_without_the_table_has_no_outcomes(run, tmp_path):
    other = synthetic_run(tmp_path / "run", images=64)
    aggregate(other, tables=("label",))
    assert open_outcomes(other, "label") is None
    assert read_outcome(None, 0) is None
    assert open_outcomes(run, "predicted") is None


def test_the_page_tells_right_from_wrong_in_words_and_pictures(run, report):
    atlas = open_outcomes(run, "label")
    for number in range(len(run.spec.classes)):
        outcome = read_outcome(atlas, number)
        page = (report / f"classes/{number}.html").read_text()
        assert ("Right versus wrong" in page) == (outcome is not None)
        if outcome:
            assert f"wrong · {outcome.wrong} images" in page
            assert 'aria-label="Right minus wrong: from' in page

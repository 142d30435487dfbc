import numpy as np
import pytest

from pipeline.audit.causal.suspects import CARRIERS, find_suspects, suspect
from pipeline.audit.finding import Finding
from pipeline.audit.findings_table import numbered
from tests.atlas.synthetic import draw, synthetic_run

CLASS = 2


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return synthetic_run(tmp_path_factory.mktemp("run"), 1200, 4, seed=3, layers=2, tag_class=CLASS)


@pytest.fixture(scope="module")
def images(run):
    return run.summary().to_table().to_pandas().set_index("row")


def test_carriers_are_the_tagged_images(run):
    found = suspect(run, "label", CLASS, "tl")
    tagged = draw(1200, 4, 3, 2, (6, 6), CLASS, 0.25, 0.1).tagged
    assert tagged[list(found.carriers)].mean() > 0.95
    assert len(found.carriers) == min(CARRIERS, tagged.sum())
    assert not tagged[list(found.plain)].any()


def test_who_can_gain_is_not_of_the_class_and_who_can_lose_is(run, images):
    found = suspect(run, "label", CLASS, "border", 7)
    assert (found.finding, found.place) == (7, "border")
    for rows, inside in (
        (found.carriers + found.plain, True),
        (found.recipients + found.donors, False),
    ):
        assert len(set(rows)) == len(rows)
        part = images.loc[list(rows)]
        assert (part["status"] == 1).all()
        assert ((part["label"] == CLASS) == inside).all()
        assert ((part["pred"] == CLASS) == inside).all()
    assert not set(found.recipients) & set(found.donors)
    assert not set(found.carriers) & set(found.plain)
    assert np.ptp(found.recipients) > 600


def test_the_same_images_every_time(run):
    one, two = (suspect(run, "predicted", 1, "br") for _ in range(2))
    assert one == two


def test_a_class_that_is_never_predicted_has_no_carriers(run):
    found = suspect(run, "label", 99, "tl")
    assert (found.carriers, found.plain) == ((), ())
    assert found.recipients


def test_only_findings_with_a_place_are_suspects(run):
    rows = [
        Finding("shortcut", 1, "corner_tr_flow_level", 1, 9, "high", ".", place="tr"),
        Finding("shortcut", 1, "mass_confident_level", 1, 9, "high", "."),
        Finding("rare", 3, "corner_bl_flow_share", 1, 9, "high", ".", place="bl"),
        Finding("fault", None, "phash", 1, 9, "high", "."),
    ]
    found = find_suspects(run, "label", numbered(rows))
    assert [(s.finding, s.class_id, s.place) for s in found] == [(0, 1, "tr"), (2, 3, "bl")]

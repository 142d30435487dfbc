import re

import numpy as np
import pytest

from pipeline.atlas import aggregate
from pipeline.audit.causal.confirmation import LEVEL, Confirmation
from pipeline.audit.causal.leads import LEAST_LOOKING, find_leads, lead_finding
from pipeline.audit.causal.suspects import lead_suspects
from pipeline.audit.finding import Finding
from pipeline.audit.stats.estimates import LOOKING
from pipeline.audit.stats.intervals import Rate
from tests.atlas.synthetic import draw, synthetic_run

TAGGED, SHARE, SEED = 5, 0.06, 2
NOTHING = ()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run in which one class has a few images with a tag, and another looks far out by nature."""
    run = synthetic_run(
        tmp_path_factory.mktemp("run"),
        *(1600, 8, SEED),
        layers=2,
        tag_class=TAGGED,
        tag_share=SHARE,
        variety=1.0,
    )
    aggregate(run, tables=("label",), workers=1, k=1)
    return run


@pytest.fixture(scope="module")
def atlas(run):
    return run.atlas("label")


def looking(run, column):
    """Return how many images of each class have a quarter of their flow in a corner."""
    images = run.summary().to_table(columns=["label", column, "status"]).to_pandas()
    images = images[images["status"] == 1]
    return (images[column] >= LOOKING).groupby(images["label"]).sum()


def of_the_tag(atlas):
    (lead,) = (lead for lead in find_leads(atlas, NOTHING) if lead.class_id == TAGGED)
    return lead


def test_a_few_images_that_look_at_a_corner_are_a_lead(run, atlas):
    lead = of_the_tag(atlas)
    assert lead.statistic.name == "corner_tl_flow_lead"
    k = looking(run, "corner_tl_flow")[TAGGED]
    assert LEAST_LOOKING <= k <= 8
    assert round(lead.value * lead.images) == k
    assert lead.effect == pytest.approx(lead.value / lead.control)


def test_leads_have_enough_images_and_more_than_is_expected(run, atlas):
    for lead in find_leads(atlas, NOTHING):
        assert looking(run, lead.statistic.column)[lead.class_id] >= LEAST_LOOKING
        assert lead.value > lead.control


def test_what_a_finding_speaks_of_is_no_lead_and_the_least_likely_come_first(atlas):
    def covering(*columns):
        return (Finding("rare", TAGGED, "x", 1, 9, "high", ".", columns=columns),)

    every = find_leads(atlas, NOTHING)
    assert [lead.q for lead in every] == sorted(lead.q for lead in every)
    rest = tuple(lead for lead in every if lead.class_id != TAGGED)
    assert len(every) > len(rest) > 0
    for known in (covering("corner_tl_flow"), covering("mass_flow", "corner_tl_flow", "x")):
        assert find_leads(atlas, known) == rest
    assert find_leads(atlas, NOTHING, 1) == every[:1]
    assert find_leads(atlas, NOTHING, 0) == ()


def test_with_too_few_classes_there_is_nothing_to_expect(tmp_path):
    run = synthetic_run(tmp_path, 600, 3, 2, layers=2, tag_class=1, tag_share=0.05)
    aggregate(run, tables=("label",), workers=1, k=1)
    assert find_leads(run.atlas("label"), NOTHING) == ()


def test_only_images_that_look_there_are_carriers(run, atlas):
    leads = find_leads(atlas, NOTHING)
    (found,) = (s for s in lead_suspects(run, "label", leads) if s.class_id == TAGGED)
    assert found.family == len(leads)
    assert found.finding is None
    tagged = draw(1600, 8, SEED, 2, (6, 6), TAGGED, SHARE, 1.0).tagged
    assert tagged[list(found.carriers)].all()
    images = run.summary().to_table().to_pandas().set_index("row")
    assert (images.loc[list(found.carriers), "corner_tl_flow"] >= LOOKING).all()


@pytest.mark.parametrize(("pasted", "severity"), [(60, "medium"), (16, "low")])
def test_the_numbers_of_a_proven_lead_are_in_its_row(run, atlas, pasted, severity):
    lead = of_the_tag(atlas)
    (accused,) = lead_suspects(run, "label", [lead])
    controls = (Rate(0, n, LEVEL) for n in (200, 200, 4, 150))
    rates = (Rate(pasted, 200, LEVEL), Rate(pasted // 2, 150, LEVEL))
    tested = Confirmation(accused, *rates, *controls)
    evidence = tuple((row, float(np.float32(9 - row))) for row in range(8))
    finding = lead_finding(lead, tested, "class 5", evidence)
    assert (finding.kind, finding.class_id, finding.severity) == ("lead", TAGGED, severity)
    assert len(finding.evidence) == round(lead.value * lead.images)
    said = finding.sentence.replace("“class 5”", "")
    known = [finding.carriers, 100 * finding.control, finding.images]
    for text in re.findall(r"\d+(?:\.\d+)?", said):
        assert any(float(text) == pytest.approx(number, rel=0.06) for number in known), text

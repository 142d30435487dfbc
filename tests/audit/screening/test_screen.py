from dataclasses import replace

import pytest

from pipeline.atlas import choose_atlas
from pipeline.audit.causal.confirm import confirm
from pipeline.audit.causal.predictions import load_each
from pipeline.audit.finding import Finding
from pipeline.audit.findings_table import (
    CONFIRMATIONS,
    EVIDENCE,
    SCREENING,
    numbered,
    write_findings,
)
from pipeline.audit.run import audit, audited
from pipeline.audit.screening.candidate import Candidate
from pipeline.audit.screening.effort import effort
from pipeline.audit.screening.estimates.operators import pasted
from pipeline.audit.screening.examination import examine
from pipeline.audit.screening.findings import add_screened
from pipeline.audit.screening.judgement import judge
from pipeline.audit.screening.parts import SPOT
from pipeline.audit.screening.screen import best, screen
from pipeline.audit.screening.screening_table import SCREENING_SCHEMA
from pipeline.audit.screening.selection import select_images
from pipeline.audit.screening.spots import peaks
from pipeline.audit.screening.stage import Stage
from pipeline.engine import LocalEngine
from pipeline.engine.context import open_context
from pipeline.errors import FlowatlasError
from pipeline.report import write_report
from tests.audit.actors import Actors

TAGGED = 1
"""The class of the trained run that has a tag in its top-right corner."""


@pytest.fixture(scope="module")
def table(trained):
    said = []
    found = screen(trained, Actors(), said.append)
    assert said == [effort(4).sentence]
    yield found
    trained.delete(SCREENING)


def test_the_tag_is_a_shortcut_and_nothing_else_is(table, trained):
    assert table.schema.equals(SCREENING_SCHEMA)
    assert trained.table(SCREENING).equals(table)
    rows = [row for row in table.to_pylist() if row["word"] == "shortcut"]
    assert {row["class"] for row in rows} == {TAGGED}
    (best,) = (row for row in rows if row["same_as"] is None)
    assert best["part"] in ("block_03", "top", "right")
    assert best["verdict"] == "used"
    assert best["pasted_rate"] > 0.4 > 0.2 > best["others_rate"]
    assert best["random_rate"] < 0.1


def test_where_the_object_lies_it_is_no_shortcut(trained):
    """Spots of other classes turn images, too: the boxes, and the rest of the class, show why."""
    selection = select_images(trained, choose_atlas(trained).table)
    found = []
    with open_context(trained.uri, threads=1) as context:
        stage = Stage(selection, context)
        for own in selection.by_class:
            rows = own.donors[:20]
            images = dict(zip(rows, load_each(rows, context), strict=True))
            known = peaks(trained, rows)
            met = stage.recipients_of(own.class_id)[:4]
            gains = {
                row: stage.turned(
                    own.class_id, pasted(images[row], [row], [known[row]], SPOT), met
                ).gain.mean()
                for row in rows
            }
            best_first = sorted(rows, key=lambda row: -gains[row])
            carriers, others = tuple(best_first[:5]), tuple(best_first[5:])
            spots = tuple(known[row] for row in carriers)
            candidate = Candidate(
                own.class_id, SPOT, carriers, others, (1.0,) * 5, 3.0, 0.0, 1e-6, spots=spots
            )
            if own.class_id != TAGGED:
                found.append(examine(candidate, images, stage, context))
    potent = [item for item in found if item is not None and item.pasted.value > 0.2]
    assert potent
    assert "shortcut" not in {item.word for item in judge(potent, 32)}


def test_what_the_audit_does_not_name_becomes_a_finding_with_its_verdict(table, trained):
    write_findings(trained, ())
    findings = add_screened(trained).to_pylist()
    assert [(row["kind"], row["class"], row["severity"]) for row in findings] == [
        ("screened", TAGGED, "high")
    ]
    assert trained.findings().to_pylist() == findings
    (verdict,) = trained.table(CONFIRMATIONS).to_pylist()
    assert (verdict["finding"], verdict["verdict"]) == (0, "used")
    assert verdict["sentence"] == findings[0]["sentence"]
    assert verdict["cells"] > 0
    shown = trained.table(EVIDENCE).to_pylist()
    labels = trained.summary().to_table(columns=["row", "label"]).sort_by("row")["label"]
    assert {labels[row["row"]].as_py() for row in shown} == {TAGGED}

    assert not confirm(trained, LocalEngine(), leads=0).num_rows, "it was tested already"
    assert add_screened(trained).to_pylist() == findings
    assert trained.table(CONFIRMATIONS).to_pylist() == [verdict], "nothing new, nothing lost"

    write_report(trained)
    page = trained.read("report/findings/0.html").decode()
    assert "assets/findings/0-crops.webp" in page
    assert trained.read("report/assets/findings/0-crops.webp").startswith(b"RIFF")
    assert "screened" in page


def test_a_corner_that_the_audit_names_is_named_once(table, trained):
    corner = Finding("shortcut", TAGGED, "x", 3.0, 60, "high", "It looks there.", place="tr")
    write_findings(trained, numbered([corner]))
    assert add_screened(trained)["kind"].to_pylist() == ["shortcut"]


def test_an_audit_keeps_what_a_screening_found(table, trained):
    audit(trained)
    add_screened(trained)
    before = trained.findings()
    assert audit(trained).equals(before)
    assert [finding.number for finding in audited(trained)] == before["finding"].to_pylist()


def test_images_that_are_gone_leave_an_earlier_table(table, trained, hidden):
    before = trained.read(SCREENING)
    with pytest.raises(FlowatlasError, match=r"check its dataset\.source"):
        screen(trained, LocalEngine())
    assert trained.read(SCREENING) == before


def test_actors_come_to_the_same_table(table, trained):
    """The table is of two actors that took the classes in another order."""
    assert screen(trained, LocalEngine()).equals(table)


@pytest.mark.parametrize("recipients", [1, 2])
def test_few_recipients_prove_nothing(table, trained, monkeypatch, recipients):
    selection = select_images(trained, choose_atlas(trained).table)
    others = [place for place, own in enumerate(selection.classes) if own != TAGGED][:recipients]
    few = replace(
        selection,
        by_class=tuple(own for own in selection.by_class if own.class_id == TAGGED),
        recipients=tuple(selection.recipients[place] for place in others),
        classes=tuple(selection.classes[place] for place in others),
    )
    monkeypatch.setattr("pipeline.audit.screening.screen.select_images", lambda *_: few)
    before = trained.read(SCREENING)
    found = screen(trained, LocalEngine())
    trained.write(SCREENING, before)
    assert "shortcut" not in found["word"].to_pylist()


def test_what_raises_the_logit_most_is_tested_to_the_end():
    found = [
        Candidate(n, "top", (1, 2), (3, 4), (0.0, 0.0), gain, 0.0, 0.0)
        for n, gain in enumerate((0.8, 2.0, -1.0, 3.0))
    ]
    assert [item.class_id for item in best(found, 2)] == [3, 1]
    assert [item.class_id for item in best(found, 9)] == [3, 1, 0]
    again = [*found, Candidate(3, "top", (5, 6), (3, 4), (0.0, 0.0), 2.5, 0.0, 0.0)]
    assert best(again, 9) == best(found, 9), "one group of a class and a part"

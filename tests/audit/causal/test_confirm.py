import json
import re
from pathlib import Path

import pytest

from pipeline.audit.causal.confirm import confirm
from pipeline.audit.causal.confirmations_table import CONFIRMATIONS_SCHEMA
from pipeline.audit.finding import SHOWN, Finding
from pipeline.audit.findings_table import CONFIRMATIONS, EVIDENCE, numbered, write_findings
from pipeline.audit.places import LIFT_COLUMNS
from pipeline.audit.run import audit
from pipeline.audit.stats.estimates import LOOKING
from pipeline.engine import LocalEngine
from pipeline.errors import ConfigError, FlowatlasError, RunIncomplete
from pipeline.store import open_run
from pipeline.store.reader import FINDINGS
from tests.audit.actors import Actors


def at(place, class_id=1, kind="shortcut"):
    """A finding at a place, or one without a place."""
    columns = (LIFT_COLUMNS.get(place, place),)
    sentence = "It looks there."
    place = place if place in LIFT_COLUMNS else None
    return Finding(
        *(kind, class_id, f"{columns[0]}_tail", 3.0, 60, "high", sentence, "any"),
        columns=columns,
        place=place,
    )


def found(run, *findings):
    write_findings(run, numbered(findings))


def test_a_tag_that_is_used_is_told_from_a_place_that_is_not(trained):
    found(
        trained,
        at("bl"),
        at("tr"),
        at("border", 2),
    )
    sentences = []
    table = confirm(trained, LocalEngine(), sentences.append, leads=0)
    assert table.schema.equals(CONFIRMATIONS_SCHEMA)
    assert trained.table(CONFIRMATIONS).equals(table)
    seen, used, border = table.to_pylist()
    assert [row["finding"] for row in (seen, used, border)] == [0, 1, 2]
    assert (seen["place"], used["place"], border["place"]) == ("bl", "tr", "border")
    assert used["verdict"] == "used"
    assert used["pasted_rate"] > 0.5
    assert used["pasted_rate"] > used["random_rate"] + 0.4
    assert seen["verdict"] != "used"
    assert seen["pasted_rate"] < 0.3
    assert used["mirrored_rate"] < 0.1
    assert (border["mirrored_images"], border["mirrored_rate"]) == (0, None)
    assert [row["cells"] for row in (seen, used)] == [1, 1]
    assert sorted(sentences) == sorted(table["sentence"].to_pylist())


def test_the_numbers_of_a_verdict_are_in_its_row(trained):
    found(trained, at("tr", kind="rare"))
    (row,) = confirm(trained, LocalEngine(), leads=0).to_pylist()
    assert row["sentence"].startswith("The model uses the top-right corner of “cross”. ")
    keys = ["cells", "pasted_images", "erased_images", "plain_images"]
    known = {float(row[key]) for key in keys}
    for name in ("pasted", "mirrored", "random", "erased", "plain"):
        known |= {round(100 * row[f"{name}_{key}"], 1) for key in ("rate", "low", "high")}
    for number in re.findall(r"\d+(?:\.\d+)?", row["sentence"]):
        assert any(abs(float(number) - value) <= 0.05 for value in known), number


def test_findings_without_a_place_are_left_alone(trained):
    found(trained, at("mass_confident"), at("phash", None, "fault"))
    assert confirm(trained, LocalEngine(), leads=0).equals(CONFIRMATIONS_SCHEMA.empty_table())


def test_a_lead_that_works_becomes_a_finding_and_others_do_not(trained):
    """The tag is not among the findings, as if too few images had it to tell by counting."""
    found(trained, at("mass_confident", 2))
    sentences = []
    table = confirm(trained, LocalEngine(), sentences.append).to_pylist()
    leads = [row for row in trained.findings().to_pylist() if row["kind"] == "lead"]
    assert [(row["finding"], row["class"]) for row in leads] == [(1, 1)]
    assert leads[0]["statistic"] == "corner_tr_flow_lead"
    proven = [row for row in table if row["finding"] is not None]
    assert [(row["finding"], row["place"], row["verdict"]) for row in proven] == [(1, "tr", "used")]
    assert 0 < proven[0]["rest_images"] < proven[0]["pasted_images"]
    assert proven[0]["rest_rate"] <= proven[0]["pasted_rate"]
    assert all(row["paste_gain_low"] <= 0 for row in table if row["finding"] is None)
    assert sorted(sentences) == sorted(f"lead: {row['sentence']}" for row in table)
    evidence = trained.table(EVIDENCE).to_pandas()
    shown = evidence[evidence["finding"] == 1]
    assert len(shown) == min(SHOWN, round(leads[0]["value"] * leads[0]["images"]))
    assert (shown["value"] >= LOOKING).all()

    objects = (FINDINGS, EVIDENCE, CONFIRMATIONS)
    before = [trained.read(path) for path in objects]
    confirm(trained, LocalEngine())
    assert [trained.read(path) for path in objects] == before
    confirm(trained, LocalEngine(), leads=0)
    assert trained.findings()["kind"].to_pylist() == ["shortcut"]
    assert not trained.table(CONFIRMATIONS).num_rows


def test_an_audit_keeps_proven_leads_while_its_findings_are_the_same(trained):
    without = audit(trained)
    found(trained, *(at("mass_confident", 2) for _ in range(without.num_rows)))
    confirm(trained, LocalEngine())
    assert "lead" in trained.findings()["kind"].to_pylist()
    assert audit(trained).equals(without), "other findings: what was tested is gone"
    assert not trained.exists(CONFIRMATIONS)
    confirm(trained, LocalEngine())
    after = trained.findings()
    assert audit(trained).equals(after)
    assert trained.exists(CONFIRMATIONS)


def test_images_compared_by_a_table_have_no_class_to_lose(trained):
    spec = json.loads(trained.read("run.json"))
    before = json.dumps(spec).encode()
    references = {"run": "elsewhere", "by": "table", "table": "pairs.csv"}
    spec["config"]["flow"] |= {"method": "fam", "references": references}
    trained.write("run.json", json.dumps(spec).encode())
    try:
        with pytest.raises(ConfigError, match="prototypes or neighbours"):
            confirm(open_run(trained.uri), LocalEngine())
    finally:
        trained.write("run.json", before)


def test_verdicts_of_no_image_are_not_written_over_earlier_ones(trained, hidden):
    found(trained, at("tr"))
    trained.write(CONFIRMATIONS, b"earlier")
    sentences = []
    with pytest.raises(FlowatlasError, match=r"check its dataset\.source"):
        confirm(trained, LocalEngine(), sentences.append)
    assert trained.read(CONFIRMATIONS) == b"earlier"
    assert sentences == []


def test_a_place_whose_own_images_are_gone_does_not_stop_the_others(trained):
    found(trained, at("tr"), at("bl", 2))
    images = Path(trained.uri).parent / "data/images"
    (folder,) = (folder for folder in images.iterdir() if folder.name == trained.spec.classes[1])
    away = folder.rename(folder.with_name("away"))
    sentences = []
    try:
        table = confirm(trained, LocalEngine(), sentences.append, leads=0)
    finally:
        away.rename(folder)
    gone, there = table.to_pylist()
    assert (gone["verdict"], gone["pasted_images"], gone["erased_images"]) == ("undecided", 0, 0)
    assert there["pasted_images"] > 0
    assert sentences == [there["sentence"], gone["sentence"]]
    assert "There was nothing to paste. There was no image" in gone["sentence"]


def test_an_unaudited_run_is_refused(trained):
    trained.store.delete(FINDINGS)
    with pytest.raises(RunIncomplete, match="flowatlas audit"):
        confirm(trained, LocalEngine())


def test_actors_come_to_the_same_verdicts(trained):
    found(trained, at("tl"))
    local = confirm(trained, LocalEngine())
    assert confirm(trained, Actors()).equals(local)
    assert local["finding"].to_pylist() == [0, 1], "a finding, and a lead that became one"

import json
import re

import pytest

from pipeline.audit.confirm import CONFIRMATIONS_SCHEMA, confirm
from pipeline.audit.entry import CONFIRMATIONS, Entry, findings_table
from pipeline.config import ClusterConfig
from pipeline.engine import LocalEngine
from pipeline.engine.cluster import RayEngine
from pipeline.errors import ConfigError, FlowatlasError, RunIncomplete
from pipeline.store import open_run
from pipeline.store.parquet import parquet_bytes
from pipeline.store.reader import FINDINGS


def entry(statistic, number=1, kind="shortcut"):
    return Entry(kind, number, statistic, 3.0, 60, "high", "It looks there.")


def found(run, *entries):
    run.write(FINDINGS, parquet_bytes(findings_table(entries, run.spec.classes)))


def test_a_tag_that_is_used_is_told_from_a_place_that_is_not(trained):
    found(
        trained,
        entry("corner_bl_flow_level"),
        entry("corner_tr_flow_tail"),
        entry("border_flow_tail", 2),
    )
    told = []
    table = confirm(trained, LocalEngine(), told.append)
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
    assert sorted(told) == sorted(table["sentence"].to_pylist())


def test_the_numbers_of_a_verdict_are_in_its_row(trained):
    found(trained, entry("corner_tr_flow_share", kind="rare"))
    (row,) = confirm(trained, LocalEngine()).to_pylist()
    assert row["sentence"].startswith("The model uses the top-right corner of “cross”: ")
    keys = ["cells", "pasted_images", "erased_images", "plain_images"]
    known = {float(row[key]) for key in keys}
    for name in ("pasted", "mirrored", "random", "erased", "plain"):
        known |= {round(100 * row[f"{name}_{key}"], 1) for key in ("rate", "low", "high")}
    for number in re.findall(r"\d+(?:\.\d+)?", row["sentence"]):
        assert any(abs(float(number) - value) <= 0.05 for value in known), number


def test_findings_without_a_place_are_left_alone(trained):
    found(trained, entry("mass_confident_level"), entry("phash", None, "fault"))
    assert confirm(trained, LocalEngine()).equals(CONFIRMATIONS_SCHEMA.empty_table())


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
    found(trained, entry("corner_tr_flow_tail"))
    trained.write(CONFIRMATIONS, b"earlier")
    told = []
    with pytest.raises(FlowatlasError, match=r"check its dataset\.source"):
        confirm(trained, LocalEngine(), told.append)
    assert trained.read(CONFIRMATIONS) == b"earlier"
    assert told == []


def test_an_unaudited_run_is_refused(trained):
    trained.store.delete(FINDINGS)
    with pytest.raises(RunIncomplete, match="flowatlas audit"):
        confirm(trained, LocalEngine())


@pytest.mark.slow
def test_actors_come_to_the_same_verdicts(trained):
    found(trained, entry("corner_tr_flow_tail"), entry("corner_tl_flow_level"))
    local = confirm(trained, LocalEngine())
    with RayEngine(ClusterConfig(actors=1, gpus_per_actor=0, cpus_per_actor=1)) as engine:
        assert confirm(trained, engine).equals(local)

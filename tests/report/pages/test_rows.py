from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.atlas import aggregate, choose_atlas
from pipeline.audit import audit
from pipeline.audit.finding import Finding
from pipeline.audit.findings_table import read_findings
from pipeline.report.pages.quantiles import Quantiles
from pipeline.report.pages.rows import named_columns, read_rows
from pipeline.store.layout import index_path, summary_path
from pipeline.store.parquet import parquet_bytes
from tests.atlas.synthetic import synthetic_run
from tests.report.reported import TAGGED, fates


def finding(number: int, rows: tuple[int, ...], *columns: str) -> Finding:
    return Finding(
        *("shortcut", 1, "a_statistic", 3.0, 9, "high", "It looks there.", "goldfish"),
        columns=columns,
        evidence=tuple((row, 1.0) for row in rows),
        number=number,
    )


def rows_of(run, findings):
    atlas = choose_atlas(run)
    return read_rows(run, atlas, Quantiles(run, atlas), findings)


@pytest.fixture(scope="module")
def read(run):
    return rows_of(run, read_findings(run))


@pytest.fixture(scope="module")
def summary(run):
    return {entry["row"]: entry for entry in run.summary().to_table().to_pylist()}


def test_rows_are_the_evidence_in_the_order_of_the_findings(run, read):
    findings = read_findings(run)
    rows = [row for found in findings for row in found.rows]
    assert list(read) == list(dict.fromkeys(rows))
    for number, row in read.items():
        assert row.number == number
        assert row.evidence
        for item in row.evidence:
            assert item.finding.rows[item.rank - 1] == number
            assert item.images == len(item.finding.evidence)


def test_a_row_of_two_findings_leads_to_both_and_what_they_rest_on_comes_first(run):
    first = finding(0, (2, 7), "corner_tr_flow", "mass_confident")
    other = finding(3, (9, 7), "border_l02")
    rows = rows_of(run, (first, other))
    assert list(rows) == [2, 7, 9]
    assert [(item.finding.number, item.rank) for item in rows[7].evidence] == [(0, 2), (3, 2)]
    named = [(measure.column, measure.named_by) for measure in rows[7].measures[:3]]
    assert named == [("corner_tr_flow", (0,)), ("mass_flow", (0,)), ("border_l02", (3,))]
    assert "border_l02" not in [measure.column for measure in rows[2].measures]
    columns = [measure.column for measure in rows[7].measures]
    assert len(columns) == len(set(columns))


def test_values_are_those_of_the_summary_and_spans_those_of_its_class(run, read, summary):
    atlas = choose_atlas(run)
    row = read[fates(run)["sound"]]
    entry = summary[row.number]
    assert (row.label, row.predicted, row.class_id) == (
        entry["label"],
        entry["pred"],
        entry["label"],
    )
    assert row.size == (320, 240)
    assert row.reason is None
    quantiles = Quantiles(run, atlas)
    for measure in row.measures:
        assert measure.value == pytest.approx(entry[measure.column], nan_ok=True)
        assert measure.middle == quantiles.of(measure.column, 0.5)[0][row.label]
    assert {"mass_flow", "convergence_depth", "confidence"} <= {m.column for m in row.measures}


def test_what_the_audit_noticed_is_outside_the_middle_of_the_class(read):
    rows = [row for row in read.values() if row.evidence[0].finding.number == 0]
    first = [row.measures[0] for row in rows]
    assert {measure.column for measure in first} == {"corner_tl_flow"}
    assert {row.class_id for row in rows} == {TAGGED}
    assert first[0].side == "upper"


def test_a_quarantined_row_has_a_reason_and_no_measures(run, read):
    row = read[fates(run)["quarantined"]]
    assert (row.reason, row.predicted, row.measures) == ("truncated", None, ())


def test_a_row_without_mass_has_no_side_where_it_has_no_value(run, read):
    row = read[fates(run)["massless"]]
    measures = {measure.column: measure for measure in row.measures}
    assert measures["mass_flow"].side == "lower"
    assert measures["border_flow"].drawn is None
    assert measures["border_flow"].side == ""


def test_a_row_is_compared_with_its_prediction_where_nothing_is_labelled(tmp_path):
    run = synthetic_run(tmp_path / "run", images=128, classes=3)
    for unit in run.spec.units:
        table = run.table(summary_path(unit.id))
        for name in ("label", "correct"):
            place = table.schema.get_field_index(name)
            column = table.schema.field(place)
            table = table.set_column(place, column, pa.nulls(len(table), column.type))
        run.write(summary_path(unit.id), parquet_bytes(table))
    aggregate(run)
    audit(run)
    used = run.summary().to_table(filter=pc.field("status") == 1).slice(0, 1).to_pylist()[0]
    atlas = choose_atlas(run)
    assert atlas.table == "predicted"
    row = rows_of(run, [finding(0, (used["row"],))])[used["row"]]
    assert (row.label, row.class_id) == (None, used["pred"])
    assert row.measures[0].middle == Quantiles(run, atlas).of("mass_flow", 0.5)[0][used["pred"]]


def test_a_row_of_no_class_has_nothing_beside_it(tmp_path):
    run = synthetic_run(tmp_path / "run", images=64, classes=2)
    table = run.table(summary_path(0))
    place = table.schema.get_field_index("label")
    unknown = pc.if_else(pc.equal(table["row"], 3), pa.scalar(None, pa.int32()), table["label"])
    run.write(summary_path(0), parquet_bytes(table.set_column(place, "label", unknown)))
    aggregate(run)
    row = rows_of(run, [finding(0, (3,))])[3]
    assert row.class_id is None
    assert row.measures
    assert not any(measure.drawn or measure.side for measure in row.measures)


def test_a_row_knows_its_split(tmp_path):
    run = synthetic_run(tmp_path / "run", images=64, classes=2)
    index = run.index()
    splits = pa.array([f"part {row}" for row in range(64)])
    place = index.schema.get_field_index("split")
    index = index.set_column(place, index.schema.field(place), splits)
    run.write(index_path(0), parquet_bytes(index))
    aggregate(run)
    rows = read_rows(
        run, choose_atlas(run), Quantiles(run, choose_atlas(run)), [finding(0, (9, 3, 30))]
    )
    assert {number: row.split for number, row in rows.items()} == {
        9: "part 9",
        3: "part 3",
        30: "part 30",
    }


def test_columns_are_those_that_the_summary_has():
    columns = {"corner_tl_flow": "ratio", "mass_flow": "mass", "border_l02": "ratio"}
    some = finding(0, (), "corner_tl_flow", "border_l02", "q")
    assert named_columns(some, columns) == ("corner_tl_flow", "border_l02")
    mass = replace(some, columns=("mass_confident", "mass_flow"))
    assert named_columns(mass, columns) == ("mass_flow",)
    assert named_columns(replace(some, columns=()), columns) == ()


def test_no_evidence_no_rows(run):
    assert rows_of(run, [finding(0, ())]) == {}
    assert rows_of(run, []) == {}

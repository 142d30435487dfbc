import numpy as np
import pyarrow as pa
import pytest

from pipeline.atlas import aggregate, choose_atlas
from pipeline.errors import RunIncomplete
from pipeline.report.pages.findings import read_findings
from pipeline.report.pages.overview import (
    _explained,
    dataset_name,
    rank_classes,
    read_facts,
    read_quarantine,
)
from pipeline.store import Status
from pipeline.store.layout import summary_path
from pipeline.store.parquet import parquet_bytes
from tests.atlas.synthetic import synthetic_run
from tests.report.reported import NAMES, TAGGED, drawn_run


@pytest.fixture(scope="module")
def summary(run):
    return run.summary().to_table().to_pandas()


def test_facts_count_the_summary(run, summary):
    facts = read_facts(run)
    ok = summary[summary.status == 1]
    assert facts.images == len(ok)
    assert facts.quarantined == (summary.status == 2).sum() > 0
    assert facts.accuracy == pytest.approx(ok.correct.astype(bool).mean())
    assert (facts.dataset, facts.model, facts.method) == ("synthetic", "synthetic", "daam")
    assert (len(facts.layers), facts.grid, facts.size) == (4, (6, 8), (96, 128))
    assert run.uri not in str(facts.provenance)


def test_a_flow_explains_what_its_target_says():
    names = ("cat", "dog")
    assert _explained("daam", "both", names) == "the class the model predicted"
    assert _explained("daam", "label", names) == "the label of each image"
    assert "dog" in _explained("daam", 1, names)
    assert "dog" in _explained("daam", "dog", names)
    assert _explained("attention", "predicted", names) is None


def test_tiny_classes_do_not_lead_the_risk(tmp_path):
    run = synthetic_run(tmp_path / "run", images=128, classes=4)
    for unit in run.spec.units:
        table = run.table(summary_path(unit.id))
        row = table["row"].to_numpy()
        label = np.where(row < 2, 3, row % 3).astype(np.int32)
        correct = (label != 3) & ((label != 1) | (row % 5 > 2))
        for name, values in (("label", label), ("correct", correct)):
            place = table.schema.get_field_index(name)
            values = pa.array(values, mask=table["status"].to_numpy() != Status.OK)
            table = table.set_column(place, table.schema.field(place), values)
        run.write(summary_path(unit.id), parquet_bytes(table))
    aggregate(run)
    classes = rank_classes(choose_atlas(run), ())
    tiny = next(fact for fact in classes if fact.id == 3)
    assert (tiny.images, tiny.accuracy) == (2, 0)
    assert classes[0].id == 1
    assert 0.6 < tiny.accuracy_high < tiny.at_best


def test_classes_are_ranked_by_finding_then_accuracy(run):
    atlas = choose_atlas(run)
    classes = rank_classes(atlas, read_findings(run, 1))
    assert classes[0].id == TAGGED
    assert classes[0].findings == 1
    rest = [fact.at_best for fact in classes if not fact.findings]
    for fact in classes:
        assert fact.accuracy_low <= fact.accuracy <= fact.accuracy_high
    assert rest == sorted(rest)
    assert {fact.name for fact in classes} == set(NAMES)


def test_class_numbers_are_those_of_its_images(run, summary):
    fact = next(fact for fact in rank_classes(choose_atlas(run), ()) if fact.id == 3)
    own = summary[(summary.label == 3) & (summary.status == 1)]
    assert fact.images == len(own)
    assert fact.accuracy == pytest.approx(own.correct.astype(bool).mean())
    assert fact.mass == pytest.approx(own.mass_flow.median(), rel=0.2)
    assert fact.depth == pytest.approx(own.convergence_depth.mean(), abs=1e-4)
    corners = [own[f"corner_{place}_flow"].mean() for place in ("tl", "tr", "bl", "br")]
    assert fact.corner == pytest.approx(max(corners), abs=1e-4)
    assert fact.no_mass == own.mass_flow.eq(0).sum()


def test_quarantine_names_reasons_and_the_first_files(run, summary):
    (truncated,) = read_quarantine(run)
    rows = np.flatnonzero(summary.sort_values("row").status == 2)
    uris = run.index().column("uri").to_pylist()
    assert (truncated.reason, truncated.images) == ("truncated", len(rows))
    assert truncated.examples == tuple(uris[row] for row in rows[:3])
    assert truncated.explanation == "The file ends early."


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/data/caltech101_29/images", "caltech101_29"),
        ("s3://bucket/cars/val/", "cars"),
        ("/data/cars/labels.csv", "cars"),
        ("/data/cars.parquet", "cars"),
        ("/images", "images"),
        ("/", "/"),
    ],
)
def test_dataset_name_says_what_is_in_it(source, name):
    assert dataset_name(source) == name


def test_predictions_stand_in_for_labels(tmp_path):
    run = drawn_run(tmp_path / "run", images=64)
    with pytest.raises(RunIncomplete, match="flowatlas aggregate"):
        choose_atlas(run)
    aggregate(run, tables=("predicted",))
    assert choose_atlas(run).table == "predicted"

import numpy as np
import pyarrow as pa
import pytest

from pipeline.atlas import aggregate, choose_atlas
from pipeline.audit.findings_table import read_findings
from pipeline.errors import RunIncomplete
from pipeline.report.pages.classes import rank_classes
from pipeline.store import Status
from pipeline.store.layout import summary_path
from pipeline.store.parquet import parquet_bytes
from tests.atlas.synthetic import synthetic_run
from tests.report.reported import NAMES, TAGGED, drawn_run


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
    classes = rank_classes(atlas, read_findings(run))
    assert classes[0].id == TAGGED
    assert classes[0].findings == 1
    rest = [fact.at_best for fact in classes if not fact.findings]
    for fact in classes:
        assert fact.accuracy_low <= fact.accuracy <= fact.accuracy_high
    assert rest == sorted(rest)
    assert {fact.name for fact in classes} == set(NAMES)


def test_class_numbers_are_those_of_its_images(run):
    fact = next(fact for fact in rank_classes(choose_atlas(run), ()) if fact.id == 3)
    summary = run.summary().to_table().to_pandas()
    own = summary[(summary.label == 3) & (summary.status == 1)]
    assert fact.images == len(own)
    assert fact.accuracy == pytest.approx(own.correct.astype(bool).mean())
    assert fact.mass == pytest.approx(own.mass_flow.median(), rel=0.2)
    assert fact.depth == pytest.approx(own.convergence_depth.mean(), abs=1e-4)
    corners = [own[f"corner_{place}_flow"].mean() for place in ("tl", "tr", "bl", "br")]
    assert fact.corner == pytest.approx(max(corners), abs=1e-4)
    assert fact.no_mass == own.mass_flow.eq(0).sum()


def test_predictions_stand_in_for_labels(tmp_path):
    run = drawn_run(tmp_path / "run", images=64)
    with pytest.raises(RunIncomplete, match="flowatlas aggregate"):
        choose_atlas(run)
    aggregate(run, tables=("predicted",))
    assert choose_atlas(run).table == "predicted"

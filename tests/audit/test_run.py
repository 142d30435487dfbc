from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.atlas import aggregate
from pipeline.audit import audit
from pipeline.audit.findings_table import CONFIRMATIONS, FINDINGS_SCHEMA, read_findings
from pipeline.audit.run import OUTLIERS
from pipeline.errors import RunIncomplete
from tests.atlas.synthetic import draw, synthetic_run


def audited(folder, seed, tag_class, images=1600, classes=8):
    run = synthetic_run(folder, images, classes, seed, layers=2, tag_class=tag_class)
    aggregate(run, tables=("label",), workers=1, k=1)
    return run, audit(run)


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_tag_is_the_first_finding(tmp_path, seed):
    run, found = audited(tmp_path, seed, tag_class=seed + 2)
    first = found.to_pylist()[0]
    assert first["finding"] == 0
    assert first["class"] == seed + 2
    assert first["class_name"] == f"class {seed + 2}"
    assert first["kind"] == "shortcut"
    assert first["statistic"].startswith("corner_tl_flow")
    assert first["q"] < 0.01
    assert first["value"] > first["control"]
    assert found.num_rows == 1
    evidence = run.table("audit/evidence.parquet").to_pandas()
    tagged = draw(1600, 8, seed, 2, (6, 6), seed + 2, 0.25, 0.1).tagged
    shown = evidence.loc[evidence["finding"] == 0, "row"]
    assert tagged[shown].mean() > 0.9
    assert run.findings().equals(found)
    (shown,) = read_findings(run)
    assert (shown.place, shown.columns[0]) == ("tl", "corner_tl_flow")
    assert list(shown.rows) == evidence["row"].tolist()


@pytest.mark.parametrize("seed", range(100, 105))
def test_a_clean_run_is_silent(tmp_path, seed):
    run, found = audited(tmp_path, seed, tag_class=None)
    assert found.equals(FINDINGS_SCHEMA.empty_table())
    assert run.findings().num_rows == 0
    assert run.table("audit/evidence.parquet").num_rows == 0


def test_doing_it_again_writes_the_same_bytes(tmp_path):
    run, _ = audited(tmp_path, 0, tag_class=1, images=800)
    paths = ("audit/findings.parquet", "audit/evidence.parquet")
    before = [run.read(path) for path in paths]
    audit(run)
    assert [run.read(path) for path in paths] == before


def test_without_labels_classes_are_the_predictions(tmp_path):
    run = synthetic_run(tmp_path, 1600, 8, seed=1, layers=2, tag_class=3)
    aggregate(run, tables=("predicted",), workers=1, k=1)
    found = audit(run).to_pylist()
    assert found[0]["class"] == 3
    evidence = run.table("audit/evidence.parquet")["row"].to_numpy()
    predictions = run.summary().to_table(columns=["row", "pred"]).to_pandas().set_index("row")
    assert np.all(predictions.loc[evidence, "pred"] == 3)


def test_images_are_grouped_by_the_class_that_their_flows_explain(tmp_path):
    """A wrong image of cats that is explained as a dog is no odd cat."""
    run = synthetic_run(tmp_path, 400, 4)
    assert run.config.flow.target == "predicted"
    aggregate(run, tables=("label", "predicted"), workers=1, k=1)
    audit(run)
    predictions = run.summary().to_table(columns=["row", "pred"]).to_pandas().set_index("row")
    listed = run.table(OUTLIERS).to_pandas()
    assert len(listed) > 0
    assert (predictions.loc[listed["row"], "pred"].to_numpy() == listed["class"].to_numpy()).all()


def test_an_audit_needs_an_atlas(tmp_path):
    run = synthetic_run(tmp_path, 40, 4)
    with pytest.raises(RunIncomplete, match="flowatlas aggregate"):
        audit(run)


def test_verdicts_stay_only_with_the_findings_they_judged(tmp_path):
    run, _ = audited(tmp_path, 0, tag_class=1, images=800)
    run.write(CONFIRMATIONS, b"verdicts")
    audit(run)
    assert run.exists(CONFIRMATIONS)
    aggregate(run, tables=("predicted",), workers=1, k=1)
    audit(run)
    assert not run.exists(CONFIRMATIONS)


def test_a_class_whose_images_are_more_compressed_is_found_if_images_are_read(trained):
    """Half of the files of one class are replaced by JPEG files, as if they came from elsewhere."""
    folder = Path(trained.uri).parent / "data" / "images" / trained.spec.classes[2]
    before = {file: file.read_bytes() for file in sorted(folder.glob("*.png"))[:30]}
    try:
        for file in before:
            with Image.open(file) as image:
                image.save(file, "JPEG", quality=85)
        audit(trained)
        found = [finding for finding in read_findings(trained) if finding.kind == "property"]
        unread = audit(trained, properties=0)
    finally:
        for file, content in before.items():
            file.write_bytes(content)
    (finding,) = found
    assert (finding.class_id, finding.statistic) == (2, "quality")
    uris = trained.index_take(list(finding.rows))["uri"].to_pylist()
    assert {Path(uri).name for uri in uris} <= {file.name for file in before}
    assert "down to 85, in other classes lossless" in finding.sentence
    assert "property" not in unread["kind"].to_pylist()


@pytest.mark.parametrize("tagged", [None, 5])
def test_copies_of_one_image_are_no_finding_where_images_have_weights(tmp_path, tagged):
    """A real tag in another class is still found, from the same sums."""
    run = synthetic_run(
        tmp_path, 1600, 8, seed=3, layers=2, tag_class=tagged, hashes=True, copied=(2, 30)
    )
    aggregate(run, tables=("label",), workers=1, k=1)
    unweighted = {(f["kind"], f["class"]) for f in audit(run).to_pylist()}
    assert unweighted & {("shortcut", 2), ("rare", 2)}
    aggregate(run, tables=("label",), workers=1, k=1, weights="commonness")
    found = [f for f in audit(run).to_pylist() if f["kind"] != "fault"]
    assert [(f["kind"], f["class"]) for f in found] == ([("shortcut", 5)] if tagged else [])
    faults = [f for f in audit(run).to_pylist() if f["kind"] == "fault"]
    assert [f["statistic"] for f in faults] == ["near_duplicates"]  # they are named, as they are

import json
import re

import numpy as np
import pytest

from pipeline.atlas import aggregate
from pipeline.audit.compare.comparison import COMPARE_SCHEMA, companion_path, compare, compare_path
from pipeline.errors import ConfigError, RunIncomplete
from pipeline.store import open_run
from tests.atlas.synthetic import synthetic_run


def run_of(folder, **options):
    run = synthetic_run(
        folder, **{"images": 600, "classes": 4, "layers": 2, "variety": 0} | options
    )
    aggregate(run, workers=1)
    return run


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("plain"), seed=1)


def drifts(table):
    return [row for row in table.to_pylist() if row["kind"] == "drift" and row["sentence"]]


def test_a_class_that_changed_is_named_with_its_numbers(plain, tmp_path):
    changed = run_of(tmp_path, seed=1, tag_class=2, tag_share=0.6)
    table = compare(plain, changed)
    assert table.schema.equals(COMPARE_SCHEMA)
    assert plain.table(compare_path(changed)).equals(table)
    found = drifts(table)
    assert {row["class_name"] for row in found} <= {"class 2", None}
    corner = next(r for r in found if (r["class"], r["statistic"]) == (2, "corner_tl_flow"))
    assert corner["q"] < 1e-6
    assert corner["control"] > corner["value"]
    numbers = [value for value in corner.values() if isinstance(value, int | float)]
    numbers += [100 * corner[key] for key in ("below", "other_below")]
    plain_text = re.sub(r"q = [^,]*,", "", corner["sentence"]).replace("“class 2”", "")
    plain_text = re.sub(r"in “[^”]*”", "", plain_text)
    for text in re.findall(r"\d+(?:\.\d+)?", plain_text.replace("corner_tl_flow", "")):
        assert any(float(text) == pytest.approx(number, rel=0.06) for number in numbers), text


def test_maps_of_two_methods_are_not_compared_class_by_class(plain, tmp_path):
    other = run_of(tmp_path, seed=1, tag_class=2, tag_share=0.6)
    spec = json.loads(other.read("run.json"))
    spec["config"]["flow"]["method"] = "rollout"
    other.write("run.json", json.dumps(spec).encode())
    table = compare(plain, open_run(other.uri))
    assert {row["statistic"] for row in table.to_pylist() if row["kind"] == "drift"} <= {
        "confidence"
    }
    assert "paired_accuracy" in table["statistic"].to_pylist()


def test_two_draws_of_one_kind_do_not_differ(plain, tmp_path):
    """Other images of the same distribution, several times: silent."""
    for seed in range(2, 6):
        assert drifts(compare(plain, run_of(tmp_path / str(seed), seed=seed))) == []


def test_a_run_equals_itself(plain):
    table = compare(plain, plain)
    assert drifts(table) == []
    paired = {
        r["statistic"]: r for r in table.to_pylist() if r["kind"] == "paired" and r["class"] is None
    }
    assert paired["paired_jsd"]["value"] == pytest.approx(0, abs=1e-9)
    assert paired["paired_rank_correlation"]["value"] == pytest.approx(1)
    assert paired["paired_agreement"]["value"] == 1
    assert paired["paired_accuracy"]["value"] == paired["paired_accuracy"]["control"]
    assert all(row["sentence"] for row in paired.values())


def test_runs_of_other_depths_are_compared(plain, tmp_path):
    table = compare(plain, run_of(tmp_path, seed=3, layers=6)).to_pylist()
    assert {("mass_l01", "mass_l04")} < {(r["statistic"], r["other_statistic"]) for r in table}


def test_an_accuracy_that_fell_is_told(plain, tmp_path):
    other = run_of(tmp_path, seed=77)
    rows = [r for r in compare(plain, other).to_pylist() if r["statistic"] == "paired_accuracy"]
    (overall,) = (row for row in rows if row["class"] is None)
    summaries = [r.summary().to_table(columns=["status", "correct"]) for r in (plain, other)]
    ok = np.all([s["status"].to_numpy() == 1 for s in summaries], axis=0)
    for side, key in zip(summaries, ("value", "control"), strict=True):
        expected = np.asarray(side["correct"].to_pylist())[ok].astype(float).mean()
        assert overall[key] == pytest.approx(expected)


def test_both_runs_need_an_atlas(plain, tmp_path):
    with pytest.raises(RunIncomplete, match="flowatlas aggregate"):
        compare(plain, synthetic_run(tmp_path, images=40))


def test_two_atlases_of_one_run_are_compared(tmp_path):
    run = run_of(tmp_path, seed=1, tag_class=2, tag_share=0.6)
    lit = "corner_tl_flow > 3"
    aggregate(run, where=f"not ({lit})", name="plain", workers=1)
    aggregate(run, where=lit, name="lit", workers=1)
    table = compare(run, run, "plain", "lit")
    assert run.table(compare_path(run, "plain", "lit")).equals(table)
    assert set(table["kind"].to_pylist()) == {"drift"}
    corner = next(
        row
        for row in drifts(table)
        if (row["class_name"], row["statistic"]) == ("class 2", "corner_tl_flow")
    )
    assert corner["control"] > 3 > corner["value"]
    assert corner["images"] + corner["other_images"] == run.atlas().count[2]
    with pytest.raises(ConfigError, match=f"share {run.atlas('lit').count.sum()} images"):
        compare(run, run, "lit")


def test_groups_are_compared_by_name(tmp_path):
    run = run_of(tmp_path / "one", seed=1)
    other = run_of(tmp_path / "other", seed=1, tag_class=2, tag_share=0.6)
    for each in (run, other):
        aggregate(each, by="correct", per="label", name="outcomes", workers=1)
    found = drifts(compare(run, other, "outcomes", "outcomes"))
    assert found
    assert {row["class_name"].split(",")[0] for row in found if row["class_name"]} == {"class 2"}


def test_runs_without_anything_in_common_are_refused(plain, tmp_path):
    other = run_of(tmp_path, seed=1)
    aggregate(other, by="correct", name="outcomes", workers=1)
    with pytest.raises(ConfigError, match=r"nothing to compare.*“class 0”, “class 1”.*“false”"):
        compare(plain, other, None, "outcomes")
    aggregate(other, where="row < 3", name="few", workers=1)
    with pytest.raises(ConfigError, match=r"20 images, .*; the atlas few of .* has 3 images of “c"):
        compare(plain, other, None, "few")
    with pytest.raises(ConfigError, match="no atlas 'nothing'"):
        compare(plain, other, None, "nothing")


def test_another_mix_of_classes_is_no_difference(tmp_path):
    """Two data sets of the same behaviour in every class, in which the classes are as 4 to 1."""
    run = run_of(tmp_path, seed=1, images=1600, variety=3)
    most = "row < 800 and (label in (0, 1) or row < 200)"
    aggregate(run, where=most, name="most", workers=1)
    aggregate(run, where="row >= 800 and (label in (2, 3) or row < 1000)", name="rest", workers=1)
    table = compare(run, run, "most", "rest").to_pylist()
    assert [row["statistic"] for row in table if row["class"] is None and row["sentence"]] == []
    whole = next(row for row in table if (row["class"], row["statistic"]) == (None, "mass_flow"))
    assert whole["classes"] == 4
    assert 100 < whole["other_effective"] < whole["other_images"] / 2


def test_a_class_has_one_headline_and_the_whole_comes_first(plain, tmp_path):
    changed = run_of(tmp_path, seed=1, tag_class=2, tag_share=0.9)
    rows = compare(plain, changed).to_pylist()
    headlines = [row for row in rows if row["headline"]]
    assert rows[: len(headlines)] == headlines
    assert len({row["class"] for row in headlines}) == len(headlines)
    assert {row["class"] for row in headlines} == {row["class"] for row in drifts_of(rows)}
    of_class = next(row for row in headlines if row["class"] == 2)
    assert of_class["statistic"].endswith("_flow")
    said = {row["statistic"] for row in drifts_of(rows) if row["class"] == 2}
    assert set(of_class["supporting"].split(", ")) == said - {of_class["statistic"]}


def drifts_of(rows):
    return [row for row in rows if row["kind"] == "drift" and row["sentence"]]


def test_what_the_runs_were_told_is_kept_beside(plain, tmp_path):
    other = run_of(tmp_path, seed=2)
    compare(plain, other)
    told = plain.table(companion_path(compare_path(other), "settings")).to_pylist()
    (fingerprint,) = (row for row in told if row["setting"] == "Dataset fingerprint")
    assert (fingerprint["value"], fingerprint["other"]) == (f"{1:032x}", f"{2:032x}")

import pytest

from pipeline.config import FlowConfig
from pipeline.report.pages.facts import _explained, dataset_name, read_facts


def test_facts_count_the_summary(run):
    facts, summary = read_facts(run), run.summary().to_table().to_pandas()
    ok = summary[summary.status == 1]
    assert facts.images == len(ok)
    assert facts.quarantined == (summary.status == 2).sum() > 0
    assert facts.accuracy == pytest.approx(ok.correct.astype(bool).mean())
    assert (facts.dataset, facts.model, facts.method) == ("synthetic", "synthetic", "daam")
    assert (len(facts.layers), facts.grid, facts.size) == (4, (6, 8), (96, 128))
    assert run.uri not in str(facts.provenance)


def test_a_flow_explains_what_its_target_says():
    names = ("cat", "dog")
    assert _explained(FlowConfig(target="both"), names) == "the class the model predicted"
    assert _explained(FlowConfig(target="label"), names) == "the label of each image"
    assert "dog" in _explained(FlowConfig(target=1), names)
    assert "dog" in _explained(FlowConfig(target="dog"), names)
    assert _explained(FlowConfig(method="attention"), names) is None
    each = _explained(FlowConfig(max_outputs=2), names, multi_label=True)
    assert each == "each label that the model predicts, at most 2 of an image"
    assert (
        _explained(FlowConfig(target="label"), names, multi_label=True) == "each label of an image"
    )
    assert "dog" in _explained(FlowConfig(target="dog"), names, multi_label=True)


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

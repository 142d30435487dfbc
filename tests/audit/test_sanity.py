import numpy as np
import pytest
import torch
from torch import nn

from pipeline.audit.findings_table import SANITY
from pipeline.audit.sanity import SANITY_SCHEMA, check_sanity, shuffle_weights
from pipeline.errors import FlowatlasError


def test_maps_of_a_trained_model_are_more_than_its_baselines(trained):
    table = check_sanity(trained, 24)
    assert table.schema.equals(SANITY_SCHEMA)
    assert trained.table(SANITY).equals(table)
    rows = {row["baseline"]: row for row in table.to_pylist()}
    assert set(rows) == {"shuffled", "edges", "centre", "random"}
    assert rows["shuffled"]["passed"] is True
    assert abs(rows["shuffled"]["rank_correlation"]) <= 0.2
    assert "at most 0.2 passes" in rows["shuffled"]["sentence"]
    assert all(rows[name]["passed"] is None for name in ("edges", "centre", "random"))
    assert abs(rows["random"]["rank_correlation"]) < 0.15
    assert rows["random"]["box_lift"] == pytest.approx(1, abs=0.15)
    assert rows["random"]["flow_box_lift"] > rows["centre"]["box_lift"] > 1
    assert {row["images"] for row in rows.values()} == {24}


def test_shuffling_keeps_every_entry_and_no_place():
    layer = nn.Linear(40, 30)
    before = layer.weight.detach().clone()
    shuffle_weights(layer)
    assert torch.equal(layer.weight.flatten().sort().values, before.flatten().sort().values)
    assert (layer.weight == before).float().mean() < 0.01


def test_a_run_whose_maps_are_not_the_models_fails(trained, tmp_path, monkeypatch):
    """If shuffling changed nothing, the maps of the shuffled model would be the true ones."""
    monkeypatch.setattr("pipeline.audit.sanity.shuffle_weights", lambda model: None)
    row = check_sanity(trained, 8).to_pylist()[0]
    assert row["passed"] is False
    assert row["rank_correlation"] > 0.95
    assert "FAILED" in row["sentence"]


def test_baselines_of_no_image_are_no_passed_check(trained, hidden):
    before = trained.read(SANITY) if trained.exists(SANITY) else None
    with pytest.raises(FlowatlasError, match=r"check its dataset\.source"):
        check_sanity(trained, 8)
    assert (trained.read(SANITY) if trained.exists(SANITY) else None) == before


def test_baselines_that_are_flat_pass_nothing(trained, monkeypatch):
    flat = "pipeline.audit.sanity._shuffled_flows"
    monkeypatch.setattr(flat, lambda sample, *_: np.ones_like(sample.flows))
    (row,) = [r for r in check_sanity(trained, 8).to_pylist() if r["baseline"] == "shuffled"]
    assert row["rank_correlation"] is None
    assert row["passed"] is None
    assert "undefined" in row["sentence"]

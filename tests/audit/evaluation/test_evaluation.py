"""The maps of a trained model, evaluated."""

import numpy as np
import pytest

from pipeline.audit.evaluation.evaluation import EVALUATION, Options, evaluate
from pipeline.audit.evaluation.scores import EVALUATION_SCHEMA
from pipeline.errors import FlowatlasError

METHODS = ("daam", "input_gradient", "naflow")


def test_a_trained_models_flow_agrees_with_occlusion_more_than_baselines_do(trained):
    told = []
    table = evaluate(trained, Options(16, METHODS, steps=4), told.append)
    assert table.schema.equals(EVALUATION_SCHEMA)
    assert trained.table(EVALUATION).equals(table)
    found = {(row["map"], row["metric"]): row for row in table.to_pylist() if row["label"] is None}
    maps = {name for name, _ in found}
    assert maps == {"occlusion", "flow", "input_gradient", "edges", "centre", "random"}
    assert any(line.startswith("naflow is left out: ") for line in told)
    correlation = {name: found[name, "rank_correlation"]["mean"] for name in maps - {"occlusion"}}
    assert correlation["flow"] > max(correlation["random"], correlation["centre"], 0.2)
    assert abs(correlation["random"]) < 0.3
    assert found["occlusion", "deletion"]["mean"] < found["random", "deletion"]["mean"]
    assert found["flow", "lift"]["mean"] > 1
    assert all(row["low"] <= row["mean"] <= row["high"] for row in found.values())
    assert {row["images"] for row in found.values()} == {16}


def test_every_class_with_two_images_has_its_correlation(trained):
    table = evaluate(trained, Options(12, (), steps=1), lambda _: None)
    own = [
        row
        for row in table.to_pylist()
        if (row["map"], row["metric"]) == ("flow", "rank_correlation") and row["label"] is not None
    ]
    assert own
    assert all(row["images"] > 1 for row in own)
    assert np.isfinite([row["mean"] for row in own]).all()


def test_an_evaluation_without_images_says_what_to_check(trained, hidden):
    with pytest.raises(FlowatlasError, match=r"check its dataset\.source"):
        evaluate(trained, Options(4), lambda _: None)

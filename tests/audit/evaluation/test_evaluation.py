"""The maps of a trained model, evaluated."""

import numpy as np
import pytest

from pipeline.audit.evaluation.evaluation import Options, evaluate
from pipeline.audit.evaluation.images import IMAGES
from pipeline.audit.evaluation.plan import FOLDER
from pipeline.audit.evaluation.scores import EVALUATION_SCHEMA
from pipeline.audit.findings_table import EVALUATION
from pipeline.engine import LocalEngine
from pipeline.errors import FlowatlasError

METHODS = ("daam", "input_gradient", "rollout", "naflow")


def overall(table):
    return {
        (row["map"], row["metric"]): row
        for row in table.to_pylist()
        if row["label"] is None and row["layer"] is None
    }


@pytest.fixture(scope="module")
def evaluated(trained):
    """24 images, two units; patches of 18 are hidden."""
    reported, done = [], []
    options = Options(24, 18, METHODS, steps=4)
    table = evaluate(trained, LocalEngine(), options, reported.append, lambda *n: done.append(n))
    return table, reported, done


def test_a_trained_models_flow_agrees_with_occlusion_more_than_baselines_do(trained, evaluated):
    table, reported, done = evaluated
    assert table.schema.equals(EVALUATION_SCHEMA)
    assert trained.table(EVALUATION).equals(table)
    assert any(line.startswith("naflow is left out: ") for line in reported)
    assert done == [(0, 2), (1, 2), (2, 2)]
    found = overall(table)
    maps = {name for name, _ in found} - {"model", "uniform"}
    assert maps == {"occlusion", "flow", "input_gradient", "rollout", "edges", "centre", "random"}
    correlation = {name: found[name, "rank_correlation"]["mean"] for name in maps - {"occlusion"}}
    assert correlation["flow"] > max(correlation["random"], correlation["centre"], 0.2)
    assert abs(correlation["random"]) < 0.3
    assert found["occlusion", "deletion"]["mean"] < found["random", "deletion"]["mean"]
    assert found["flow", "lift"]["mean"] > 1
    assert all(row["low"] <= row["mean"] <= row["high"] for row in found.values())


def test_patches_are_hidden_of_as_many_images_as_asked_and_the_rest_is_of_all(evaluated):
    found = overall(evaluated[0])
    hidden = {"rank_correlation", "gain", "deletion", "insertion"}
    for (name, metric), row in found.items():
        wanted = 18 if metric in hidden or name == "occlusion" else 24
        if not metric.startswith("pair"):
            assert row["images"] == wanted, (name, metric)


def test_the_uniform_baseline_is_what_the_boxes_area_gives(evaluated):
    found = {
        metric: row["mean"]
        for (name, metric), row in overall(evaluated[0]).items()
        if name == "uniform"
    }
    assert found["lift"] == pytest.approx(1, abs=1e-5)
    assert found["auc"] == 0.5
    assert found["pxap"] == pytest.approx(found["energy"], abs=1e-5)
    assert found.keys() & {"deletion", "rank_correlation"} == set()


def test_maps_that_do_not_depend_on_the_class_have_half_of_a_pair(evaluated):
    found = overall(evaluated[0])
    assert found["rollout", "pair_share"]["mean"] == pytest.approx(0.5, abs=1e-6)
    assert found["rollout", "pair_win"]["mean"] == 0.5
    assert found["flow", "pair_share"]["mean"] > 0.5
    assert 0 < found["model", "pairs_used"]["mean"] <= 1


def test_the_flow_depends_on_the_weights(evaluated):
    assert abs(overall(evaluated[0])["flow", "randomised"]["mean"]) < 0.35


def test_layers_end_with_the_accumulated_flow_and_begin_with_the_first_alone(evaluated):
    rows = [row for row in evaluated[0].to_pylist() if row["label"] is None]
    found = {(row["map"], row["metric"], row["layer"]): row["mean"] for row in rows}
    for metric in ("lift", "auc", "pointing", "rank_correlation"):
        assert found["flow", metric, 1] == pytest.approx(found["flow", metric, None], abs=1e-3)
        assert found["flow", metric, 0] == found["flow, layer alone", metric, 0]


def test_every_class_with_two_images_has_its_scores(evaluated):
    own = [row for row in evaluated[0].to_pylist() if row["label"] is not None]
    assert {row["metric"] for row in own} >= {"rank_correlation", "lift", "deletion"}
    assert all(row["images"] > 1 for row in own)
    assert np.isfinite([row["mean"] for row in own]).all()
    of_classes = [r for r in own if (r["map"], r["metric"]) == ("flow", "lift")]
    whole = overall(evaluated[0])["flow", "lift"]
    together = sum(row["images"] * row["mean"] for row in of_classes)
    assert sum(row["images"] for row in of_classes) == whole["images"]
    assert together / whole["images"] == pytest.approx(whole["mean"], abs=1e-5)


def test_the_images_with_the_least_agreement_are_kept_with_all_maps(trained, evaluated):
    rows = trained.table(IMAGES).to_pylist()
    order = list(dict.fromkeys(row["row"] for row in rows))
    apart = [next(r["disagreement"] for r in rows if r["row"] == row) for row in order]
    assert len(order) == 8
    assert apart == sorted(apart, reverse=True)
    names = {row["map"] for row in rows if row["row"] == order[0]}
    assert names >= {"flow", "input_gradient", "rollout", "edges", "centre", "random"}
    assert all(len(row["cells"]) == 16 for row in rows)


def test_what_was_computed_is_not_computed_again_and_more_images_begin_with_it(trained, evaluated):
    whole = trained.read(EVALUATION)
    before = set(trained.list(FOLDER))
    lost = sorted(path for path in before if path.endswith("tally.parquet"))[0]
    trained.delete(lost)
    done = []
    again = Options(24, 18, METHODS, steps=4)
    evaluate(trained, LocalEngine(), again, on_progress=lambda *n: done.append(n))
    assert done == [(1, 2), (2, 2)]
    assert set(trained.list(FOLDER)) == before
    assert trained.read(EVALUATION) == whole
    done.clear()
    more = Options(36, 18, METHODS, steps=4)
    evaluate(trained, LocalEngine(), more, on_progress=lambda *n: done.append(n))
    assert done[0] == (1, 3)


def test_an_evaluation_without_images_says_what_to_check(trained, hidden):
    with pytest.raises(FlowatlasError, match=r"check its dataset\.source"):
        evaluate(trained, LocalEngine(), Options(4))

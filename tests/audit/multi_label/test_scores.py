"""Scores of every label against plain definitions, and counts against the images themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from pipeline.audit.multi_label.scores import LABELS, TOGETHER, aurocs, average_precision
from pipeline.store import Run


def _pairs(positive: np.ndarray, scores: np.ndarray) -> float:
    """Return the share of pairs that are in the right order, ties counted half."""
    gaps = scores[positive][:, None] - scores[~positive][None]
    return float(np.mean((gaps > 0) + 0.5 * (gaps == 0)))


def _thresholds(positive: np.ndarray, scores: np.ndarray) -> float:
    """Return the average precision as a sum over all thresholds."""
    before = total = 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        shown = scores >= threshold
        recall = (positive & shown).sum() / positive.sum()
        total += (recall - before) * (positive & shown).sum() / shown.sum()
        before = recall
    return total


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=40))
def test_scores_of_any_ties(images: list[tuple[bool, int]]) -> None:
    positive = np.array([own for own, _ in images])
    scores = np.array([score for _, score in images], np.float32)
    found = aurocs(csr_array(positive[:, None].astype(np.int64)), scores[:, None])[0, 0]
    if positive.all() or not positive.any():
        assert np.isnan(found)
    else:
        assert found == pytest.approx(_pairs(positive, scores))
    if positive.any():
        expected = _thresholds(positive, scores)
        assert average_precision(positive, scores) == pytest.approx(expected)
    else:
        assert np.isnan(average_precision(positive, scores))


def test_every_label_is_scored_by_every_output() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.random((50, 3)) < 0.4, rng.normal(size=(50, 4)).round(1)
    found = aurocs(csr_array(labels.astype(np.int64)), scores)
    for label in range(3):
        for output in range(4):
            expected = _pairs(labels[:, label], scores[:, output])
            assert found[label, output] == pytest.approx(expected)


@pytest.mark.parametrize("fixture", ["by_label", "by_prediction"])
def test_scores_of_a_run(request: pytest.FixtureRequest, fixture: str) -> None:
    run: Run = request.getfixturevalue(fixture)
    index = run.index().to_pandas().drop_duplicates("image")
    logits = run.logits[:][index["row"]]
    table = run.table(LABELS).to_pylist()
    assert [line["class_name"] for line in table] == list(run.spec.classes)
    for k, line in enumerate(table):
        there = np.array([k in own for own in index["labels"]])
        shown = logits[:, k] >= 0
        assert (line["images"], line["labelled"]) == (len(index), there.sum())
        assert (line["predicted"], line["both"]) == (shown.sum(), (shown & there).sum())
        assert line["precision"] == pytest.approx((shown & there).sum() / shown.sum())
        assert line["recall"] == pytest.approx((shown & there).sum() / there.sum())
        assert line["auroc"] == pytest.approx(_pairs(there, logits[:, k]))
        assert line["average_precision"] == pytest.approx(_thresholds(there, logits[:, k]))
        assert 0.6 < line["auroc"] <= 1, "the model has learnt something"
    for line in run.table(TOGETHER).to_pylist():
        one = np.array([line["label"] in own for own in index["labels"]])
        both = np.array([{line["label"], line["other"]} <= set(own) for own in index["labels"]])
        assert (line["images"], line["labelled"]) == (one.sum(), both.sum())
        assert line["predicted"] == (one & (logits[:, line["other"]] >= 0)).sum()


def test_runs_of_one_dataset_agree(by_label: Run, by_prediction: Run) -> None:
    one, other = by_label.table(LABELS), by_prediction.table(LABELS)
    assert one.drop_columns(["auroc", "average_precision"]).equals(
        other.drop_columns(["auroc", "average_precision"])
    )
    np.testing.assert_allclose(one["auroc"], other["auroc"], atol=1e-3)

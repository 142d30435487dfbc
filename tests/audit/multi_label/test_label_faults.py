"""A label space that is not the model's is found; weak models and labels in company are not."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from pipeline.audit.multi_label.label_faults import (
    find_multi_label_faults,
    hanley_mcneil,
    judge_multi_label,
    multi_label_sentence,
)
from pipeline.audit.multi_label.scores import LabelScores, aurocs, score_labels
from pipeline.store import Run

NAMES = ("ant", "bee", "cow", "dog", "elk")


def scores_of(labels: np.ndarray, logits: np.ndarray) -> LabelScores:
    """Return the scores of labels and logits (n, K)."""
    own, shown = csr_array(labels.astype(np.int64)), csr_array((logits >= 0).astype(np.int64))
    return LabelScores(
        classes=np.arange(labels.shape[1]),
        images=len(labels),
        predictions=shown.sum(0),
        labelled=csr_array(own.T @ own),
        predicted=csr_array(own.T @ shown),
        average_precision=np.full(labels.shape[1], np.nan),
        separation=aurocs(own, logits),
    )


def honest(strength: float, seed: int, images: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, some of them in company, and logits that know them more or less."""
    rng = np.random.default_rng(seed)
    labels = rng.random((images, 5)) < 0.3
    labels[:, 1] |= labels[:, 0] & (rng.random(images) < 0.8)
    return labels, rng.normal(size=labels.shape) + strength * (labels - 0.5)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("strength", [0.6, 1.0, 3.0])
def test_an_honest_model_is_left_alone(strength: float, seed: int) -> None:
    assert judge_multi_label(scores_of(*honest(strength, seed))) is None


@pytest.mark.parametrize("seed", range(5))
def test_a_label_in_company_is_no_permutation(seed: int) -> None:
    labels, logits = honest(3.0, seed)
    logits[:, 0] = np.random.default_rng(seed).normal(size=len(logits))
    assert judge_multi_label(scores_of(labels, logits)) is None


@pytest.mark.parametrize("order", [[1, 0, 2, 3, 4], [1, 2, 3, 4, 0], [0, 1, 4, 2, 3]])
def test_a_permutation_is_named(order: list[int]) -> None:
    labels, logits = honest(3.0, 1)
    scores = scores_of(labels, logits[:, order])
    fault = judge_multi_label(scores)
    assert fault is not None
    expected = {place: order.index(place) for place in range(5) if order[place] != place}
    assert dict(fault.moved) == expected
    sentence = multi_label_sentence(fault, scores, NAMES)
    assert "permuted" in sentence
    assert f"{len(expected)} labels are affected" in sentence
    assert "ccuracy" not in sentence


def test_no_better_than_chance() -> None:
    labels, logits = honest(0.0, 3, images=2000)
    scores = scores_of(labels, logits)
    fault = judge_multi_label(scores)
    assert fault is not None
    assert fault.by_chance
    assert "no better than chance (0.5)" in multi_label_sentence(fault, scores, NAMES)


def test_few_images_prove_nothing() -> None:
    labels, logits = honest(0.0, 3, images=30)
    assert judge_multi_label(scores_of(labels, logits)) is None


def test_the_error_of_an_auroc() -> None:
    """Hanley and McNeil: about that of a simulation, and never 0."""
    rng = np.random.default_rng(0)
    positive = np.arange(80) < 20
    aucs = []
    for _ in range(300):
        values = rng.normal(size=80) + 1.2 * positive
        aucs.append(aurocs(csr_array(positive[:, None].astype(np.int64)), values[:, None])[0, 0])
    error = hanley_mcneil(np.array([np.mean(aucs)]), 20, 60)[0]
    assert error == pytest.approx(np.std(aucs), rel=0.25)
    assert hanley_mcneil(np.array([1.0]), 20, 60)[0] > 0


def test_a_run_with_its_own_labels_has_no_fault(by_label: Run) -> None:
    assert not find_multi_label_faults(by_label, score_labels(by_label))

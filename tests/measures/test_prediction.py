import numpy as np
import pytest
import torch
from scipy.special import softmax

from pipeline.measures.prediction import predictions


def test_predictions_as_scipy_says() -> None:
    logits = np.random.default_rng(0).normal(0, 4, (50, 11)).astype(np.float32)
    found = predictions(torch.from_numpy(logits))
    probability = np.sort(softmax(logits.astype(np.float64), 1), 1)
    assert found.pred.tolist() == logits.argmax(1).tolist()
    np.testing.assert_allclose(found.confidence.numpy(), probability[:, -1], rtol=1e-5)
    margin = probability[:, -1] - probability[:, -2]
    np.testing.assert_allclose(found.margin.numpy(), margin, atol=1e-6)


def test_types() -> None:
    pred, confidence, margin = predictions(torch.randn(3, 4, dtype=torch.bfloat16))
    assert (pred.dtype, confidence.dtype, margin.dtype) == (
        torch.int64,
        torch.float32,
        torch.float32,
    )


def test_half_precision_logits_get_a_float32_softmax() -> None:
    logits = torch.tensor([[4.0, 4.5, -2.0]], dtype=torch.float16)
    half, full = predictions(logits), predictions(logits.float())
    assert torch.equal(half.confidence, full.confidence)
    assert torch.equal(half.margin, full.margin)


def test_equal_logits_give_the_lowest_class_and_no_margin() -> None:
    pred, confidence, margin = predictions(torch.zeros(1, 4))
    assert (pred.item(), confidence.item(), margin.item()) == (0, 0.25, 0)


def test_one_class_is_certain() -> None:
    pred, confidence, margin = predictions(torch.tensor([[-3.0]]))
    assert (pred.item(), confidence.item(), margin.item()) == (0, 1, 1)


def test_large_logits_do_not_overflow() -> None:
    found = predictions(torch.tensor([[3e38, -3e38]]))
    assert (found.confidence.item(), found.margin.item()) == (1, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_nan(bad: float) -> None:
    found = predictions(torch.tensor([[1.0, bad], [1.0, 2.0]]))
    assert found.confidence.isnan().tolist() == [True, False]
    assert found.margin.isnan().tolist() == [True, False]


def test_an_answer_does_not_depend_on_the_batch() -> None:
    logits = torch.from_numpy(np.random.default_rng(1).normal(size=(32, 1000)).astype(np.float32))
    together = predictions(logits)
    for image in range(32):
        alone = predictions(logits[image : image + 1].clone())
        assert all(torch.equal(a[image], b[0]) for a, b in zip(together, alone, strict=True))


def test_a_model_without_outputs_says_nothing() -> None:
    said = predictions(torch.zeros(3, 0))
    assert said.pred.tolist() == [-1, -1, -1]
    assert said.confidence.isnan().all()
    assert said.margin.isnan().all()


def test_independent_outputs_have_sigmoids() -> None:
    logits = torch.tensor([[2.0, -1.0, 3.0], [-4.0, -5.0, -6.0], [torch.nan, 0.0, 1.0]])
    found = predictions(logits, independent=True)
    assert found.pred.tolist()[:2] == [2, 0]
    top, second = torch.tensor([3.0, -4.0]).sigmoid(), torch.tensor([2.0, -5.0]).sigmoid()
    torch.testing.assert_close(found.confidence[:2], top)
    torch.testing.assert_close(found.margin[:2], top - second)
    assert found.confidence[2].isnan()

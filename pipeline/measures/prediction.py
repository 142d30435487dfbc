"""The predicted class and how confident the model is."""

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.measures.threshold import least_logit


class Predictions(NamedTuple):
    """Answers of a batch: ``pred`` int64 (B,), ``confidence`` and ``margin`` float32 (B,)."""

    pred: Tensor
    confidence: Tensor
    margin: Tensor


@torch.no_grad()
def judged(logits: Tensor, targets: Tensor, threshold: float) -> Predictions:
    """Return whether independent outputs are predicted, and their scores.

    ``logits`` (B, C), ``targets`` (B,) one output each, -1 for none. The prediction is the target
    where its sigmoid is at least ``threshold``, else -1; the confidence is this sigmoid, NaN
    without a target or of logits that are not finite. There is no runner-up: the margin is NaN.
    """
    own = logits.float().gather(1, targets.clamp(min=0)[:, None])[:, 0]
    known = (targets >= 0) & logits.isfinite().all(1)
    predicted = known & (own.double() >= least_logit(threshold))
    nothing = torch.full_like(own, torch.nan)
    return Predictions(
        torch.where(predicted, targets, -1), torch.where(known, own.sigmoid(), nothing), nothing
    )


@torch.no_grad()
def predictions(logits: Tensor, independent: bool = False) -> Predictions:
    """Return the class, its probability, and its lead over the runner-up.

    ``logits`` is (B, C) of any float type. The probability is a float32 softmax over the classes,
    of ``independent`` outputs each one's own sigmoid. Confidence is in [1/C, 1] of a softmax and in
    [0, 1] of sigmoids, the margin in [0, 1] (equal to the confidence where C = 1). Equal logits
    give the lowest class. Logits that are not finite give NaN in both. Of a model without outputs
    (C = 0) the prediction is -1, and both are NaN.
    """
    if not logits.shape[1]:
        nothing = torch.full((len(logits),), torch.nan, device=logits.device)
        return Predictions(torch.full_like(nothing, -1, dtype=torch.int64), nothing, nothing)
    logits = logits.float()
    pred = logits.argmax(1)
    probability = logits.sigmoid() if independent else logits.softmax(1)
    confidence = probability.gather(1, pred[:, None])[:, 0]
    others = probability.scatter(1, pred[:, None], 0.0)
    finite = logits.isfinite().all(1)
    return Predictions(
        pred,
        torch.where(finite, confidence, torch.nan),
        torch.where(finite, confidence - others.amax(1), torch.nan),
    )

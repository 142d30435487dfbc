"""Images with several labels: which output a row explains.

A row is an image and one output: one of its labels (``flow.target: label``), one of the outputs
that the model predicts (``predicted``), or one class.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pipeline.engine.batch import IndexedImage
from pipeline.flows import Flow
from pipeline.measures.threshold import least_logit

Explanation = tuple[Flow, Tensor | None]
"""A flow, and the embeddings (B, C) of its images where the run stores them."""

Call = Callable[[Tensor, Tensor | None], Explanation]
"""Explains rows of a batch, by place, for outputs, or each for its highest output if None."""


def explain_pairs(
    rows: Sequence[IndexedImage], targets: Tensor, slots: int, threshold: float, call: Call
) -> Explanation:
    """Return the flow of every row for its output.

    Parameters
    ----------
    rows
        B rows; those of an image are next to each other.
    targets
        (B,) the outputs to explain, -1 where the model decides.
    slots
        How many rows an image has for predicted outputs, the highest score first. 0: the model
        decides only for images without labels, which are explained for their highest output.
    threshold
        Score from which an output is predicted.
    call
        Explains some of the rows.

    Returns
    -------
    Flow and embeddings
        A row without an output, because fewer are predicted, has zeros and the target -1.
    """
    if (targets >= 0).all():
        return call(torch.arange(len(rows)), targets)
    heads, of_row = _heads(rows, targets)
    flow, features = call(heads, None)
    places = of_row.clamp(min=0).to(flow.logits.device)
    wanted = _ranked(flow.logits[places], rows, slots, threshold)
    wanted = torch.where(targets >= 0, targets, wanted.to(targets.device))
    covered = (of_row >= 0).to(targets.device)
    shown = covered & (flow.target[places] == wanted)
    maps = torch.where(shown[:, None, None, None], flow.maps[places], 0.0)
    found = {"maps": maps, "logits": flow.logits[places]}
    found |= {f"extras {name}": values[places] for name, values in flow.extras.items()}
    if features is not None:
        found["features"] = features[places]
    rest = ((wanted >= 0) & ~shown).nonzero()[:, 0]
    if len(rest):
        more, more_features = call(rest.cpu(), wanted[rest])
        given = {"maps": more.maps, "logits": more.logits}
        given |= {f"extras {name}": values for name, values in more.extras.items()}
        if more_features is not None:
            given["features"] = more_features
        for name, values in given.items():
            found[name][rest] = values.to(found[name].dtype)
    extras = {name: found[f"extras {name}"] for name in flow.extras}
    whole = replace(
        flow, maps=found["maps"], logits=found["logits"], target=wanted, extras=extras, native=()
    )
    return whole, found.get("features")


def _heads(rows: Sequence[IndexedImage], targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return one row of each image that has an open row, and which of them each row belongs to."""
    open_images = {
        row.image for row, target in zip(rows, targets.tolist(), strict=True) if target < 0
    }
    heads: dict[int | None, int] = {}
    for place, row in enumerate(rows):
        if row.image in open_images:
            heads.setdefault(row.image, place)
    number = {image: n for n, image in enumerate(heads)}
    return torch.tensor(list(heads.values())), torch.tensor([number.get(r.image, -1) for r in rows])


def _ranked(logits: Tensor, rows: Sequence[IndexedImage], slots: int, threshold: float) -> Tensor:
    """Return the output of each row's rank, -1 where that output is not predicted."""
    order = logits.argsort(dim=1, descending=True, stable=True)
    ranks = torch.tensor([row.row % slots if slots else 0 for row in rows], device=logits.device)
    known = ranks < logits.shape[1]
    output = order.gather(1, ranks.clamp(max=logits.shape[1] - 1)[:, None])
    if slots:
        known &= logits.gather(1, output)[:, 0].double() >= least_logit(threshold)
    return torch.where(known, output[:, 0], -1)

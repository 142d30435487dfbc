"""What the logits of a transformer are computed from: which tokens, behind its last attention.

Tokens are replaced by NaN there, and the logits that become NaN have read them. NaN times a weight
of zero is NaN too, so that does not depend on the weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.models.structure.anatomy import Rows
from pipeline.models.structure.attention_calls import AttentionCalls, Call, exploring
from pipeline.models.structure.logits import gradients_of, logits_of
from pipeline.models.structure.sight import Seen
from pipeline.nouns import counted

Spot = tuple[Seen, int, Any]
"""A call of attention, an image of the batch, and tokens."""


@dataclass(frozen=True)
class Read:
    """What is read: each of the ``prefix`` tokens, the ``patches``, queries of every pool.

    ``pools`` are in the order of the model's; None where no query is read. ``outputs`` is the
    number of logits.
    """

    prefix: tuple[bool, ...]
    patches: bool
    pools: tuple[Rows | None, ...]
    outputs: int

    def rows(self, tokens: int) -> Rows:
        """Return the rows that are read, of so many tokens."""
        before = len(self.prefix)
        found = [token for token in range(before) if self.prefix[token]]
        found += range(before, tokens) if self.patches else ()
        if found == list(range(found[0], found[-1] + 1)):
            return slice(found[0], None if self.patches else found[-1] + 1)
        return found


class _Spoil(AttentionCalls):
    """Puts NaN into the output of attentions: ``spots`` are call, image and tokens.

    The graph starts at the output ``start`` of the call ``last``.
    """

    start: Tensor

    def __init__(self, images: int, spots: Sequence[Spot], last: Seen) -> None:
        super().__init__(images)
        self._spots, self._last = spots, last
        self._calls = 0

    def see(self, call: Call, output: Tensor) -> Tensor:
        number, self._calls = self._calls, self._calls + 1
        for seen, image, tokens in self._spots:
            if seen.number == number:
                output = output.clone()
                output[image, :, tokens] = torch.nan
        if number == self._last.number:
            self.start = output = output.detach().requires_grad_()
        return output


def read_behind(
    model: nn.Module, images: Tensor, last: Seen, prefix: int, pools: Sequence[Seen]
) -> Read:
    """Return what the logits are computed from, behind the ``last`` attention of all tokens.

    ``images`` (B, 3, H, W) give the size; ``prefix`` tokens come before the patches; ``pools`` are
    attentions with queries of their own, behind ``last``.

    Raises
    ------
    UnsupportedModel
        Some of the patches are read and others are not, or the model does not run.
    """
    spots: list[Spot] = [(last, token, [token]) for token in range(prefix)]
    spots.append((last, prefix, slice(prefix, None)))
    for pool in pools:
        spots.append((pool, len(spots), slice(0, 1)))
        spots.append((pool, len(spots), slice(1, None)))
    (*spoilt, _), moved, outputs = _spoil(model, images, spots, last)
    if spoilt[prefix] and (unmoved := [i for i in range(prefix, len(moved)) if not moved[i]]):
        # A maximum of patches reads all of them, but has a gradient at some.
        some, _, _ = _spoil(model, images, [(last, 0, unmoved)], last)
        if not some[0]:
            raise UnsupportedModel(
                f"{type(model).__name__} reads only some of its patches behind its last attention; "
                "use flow.method input_gradient"
            )
    pairs = zip(spoilt[prefix + 1 :: 2], spoilt[prefix + 2 :: 2], strict=True)
    return Read(
        prefix=tuple(spoilt[:prefix]),
        patches=spoilt[prefix],
        pools=tuple(
            slice(0, None) if others else slice(0, 1) if first else None for first, others in pairs
        ),
        outputs=outputs,
    )


def _spoil(
    model: nn.Module, images: Tensor, spots: Sequence[Spot], last: Seen
) -> tuple[list[bool], list[bool], int]:
    """Return whether the logits are NaN for every spot and without any, and their number.

    Between them, for every token, whether its output of the last attention has a gradient in an
    image that is not spoilt.
    """
    generator, name = torch.Generator().manual_seed(0), type(model).__name__
    noise = torch.randn(len(spots) + 1, *images.shape[1:], generator=generator)
    noise = noise.to(images.device, images.dtype)
    spoil = _Spoil(len(noise), spots, last)
    try:
        with exploring(), torch.autocast(images.device.type, enabled=False), spoil:
            output = model(noise)
    except (UnsupportedModel, torch.OutOfMemoryError):
        raise
    except Exception as error:  # of any model's own code
        raise UnsupportedModel(
            f"{name} does not run on a batch of {counted(len(noise), 'image')} "
            f"({_first_line(error)}); check the size of the images, or use another model"
        ) from error
    logits = logits_of(output, model)
    if logits[-1].isnan().any():
        raise UnsupportedModel(
            f"{name} mixes the images of a batch, or its logits of noise are not finite; use a "
            "model in evaluation mode with finite weights"
        )
    score = (logits[-1] * torch.randn(logits.shape[1], generator=generator).to(logits)).sum()
    (gradient,) = gradients_of(score, [spoil.start], model)
    slope = (gradient[-1].abs().amax(dim=(0, 2)) > 0).tolist()
    return logits.isnan().any(dim=1).tolist(), slope, logits.shape[1]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

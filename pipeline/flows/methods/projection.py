"""Class-embedding-space projection (Vilas et al. 2023, arXiv 2310.18969): where the class is known.

After every block, each token goes through the model's own final norm and classifier, as if it were
what the classifier reads. With C classes, of which rank_j(c) have a larger logit at patch j than
the explained class c, its identifiability there is (section 3.1)

    r_j = 1 − rank_j(c) / C,

1 where the class has the largest logit, 1 / C where it has the smallest. Other methods say which
patches the answer was made of; this one says at which depth, and where, the answer can be read.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.flows.flow import Flow, check_targets
from pipeline.flows.transformer import TransformerMethod
from pipeline.models.sharing import of_this_thread
from pipeline.models.structure.logits import logits_of
from pipeline.nouns import counted

Value = Literal["rank", "logit"]

_LOGITS = 1 << 26
"""Logits that are held at once: 256 MB in float32."""


class Projection(TransformerMethod):
    """Identifiability r_j = 1 − rank_j(c) / C of the explained class c at every patch j.

    Section 3.1 of arXiv 2310.18969, layer by layer; forward only. A map is 1 where the class
    has the largest logit.

    Parameters
    ----------
    model
        A timm vision transformer in evaluation mode whose classifier reads a token or the mean of
        its patches.
    value
        ``rank``: 1 − rank / C, in (0, 1]. ``logit``: the class's logit at the patch, 0 where it is
        negative.

    Raises
    ------
    UnsupportedModel
        See :func:`pipeline.models.anatomy`; or the model has no classifier, or one that reads more
        than single tokens (attention pool, class attention, maximum).

    Examples
    --------
    >>> with create_flow("projection", model) as flow:
    ...     maps = flow(images).maps  # (B, L, h, w)
    """

    def __init__(self, model: nn.Module, value: Value = "rank") -> None:
        super().__init__(model)
        if value not in ("rank", "logit"):
            raise ConfigError(f"flow.options: value must be rank or logit, not {value!r}")
        self.require_head("use flow.method attention or activation")
        pool, known = getattr(model, "global_pool", None), self._known
        single = known is not None and known.readout in ("token", "patches")
        if known is None:
            raise UnsupportedModel(
                f"{type(model).__name__} has no head of its own for single tokens (timm's "
                "forward_head); use daam or attention for a transformer, naflow or gradcam for a "
                "convolutional network"
            )
        if not single or pool in ("max", "avgmax"):
            raise UnsupportedModel(
                f"{known.name} does not classify single tokens or their mean, so its "
                "classifier says nothing about one patch; use flow.method daam or attention"
            )
        self._value = value

    def __call__(self, images: Tensor, targets: Tensor | None = None) -> Flow:
        """Return the flow of a batch; every image's maps are independent of its batch mates.

        Parameters
        ----------
        images
            (B, 3, H, W) float, normalised, on the model's device.
        targets
            (B,) integer classes; the predicted ones if None.

        Returns
        -------
        Flow
            ``maps`` (B, L, h, w) float32. Extras: ``readout_rank`` (B, L), the identifiability at
            what the classifier reads after each block, ``patch_rank`` (B, L), the mean over the
            patches, and ``token_norm`` (B, h, w).

        Raises
        ------
        ValueError
            Targets that are not classes, or a flow used outside its context.
        UnsupportedModel
            The first batch shows that the classifier does more with its tokens.
        """
        self.require_open(images)
        check_targets(targets, len(images), self._anatomy.num_classes)
        with torch.no_grad():
            tokens, logits = self._tokens(images)
            target = logits.argmax(1) if targets is None else targets.to(logits.device).long()
            if not self._verified:
                self._check(tokens[-1], logits)
                self._verified = True
            prefix, grid = self._anatomy.num_prefix_tokens, self._anatomy.grid(*images.shape[-2:])
            found = [self._map(layer[:, prefix:], target) for layer in tokens]
            read = [_identifiability(self._readout(layer), target) for layer in tokens]
        norms = tokens[-1][:, prefix:].float().norm(dim=-1)
        return Flow(
            maps=torch.stack([map_ for map_, _ in found], dim=1).view(len(images), -1, *grid),
            layers=self._anatomy.names,
            logits=logits.float(),
            target=target,
            extras={
                "readout_rank": torch.stack(read, dim=1),
                "patch_rank": torch.stack([mean for _, mean in found], dim=1),
                "token_norm": norms.view(len(images), *grid),
            },
        )

    def _tokens(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the tokens (B, N, D) behind every block, and the logits (B, C)."""
        found: list[Tensor] = []

        def keep(block: nn.Module, inputs: Any, output: Tensor) -> None:
            found.append(output)

        with ExitStack() as hooks:
            for layer in self._anatomy.layers:
                hook: Callable[..., None] = of_this_thread(keep)
                hooks.callback(layer.block.register_forward_hook(hook).remove)
            logits = logits_of(self._model(images.detach()), self._model)
        if len(found) != len(self._anatomy.layers):
            raise UnsupportedModel(
                f"{self._anatomy.name} ran {len(found)} of its "
                f"{counted(len(self._anatomy.layers), 'layer')}; "
                "use a model that runs every block once"
            )
        return found, logits

    def _readout(self, tokens: Tensor) -> Tensor:
        """Return the logits (B, C) of what the classifier reads of tokens (B, N, D)."""
        model: Any = self._model
        return logits_of(model.forward_head(model.norm(tokens)), model)

    def _classify(self, tokens: Tensor) -> Tensor:
        """Return the logits (n, C) of normalised tokens (n, D), each as if it were what is read.

        A token stands in the place of every token of a short sequence, so that whatever the model
        pools is this token, and its own head answers.
        """
        model: Any = self._model
        places = self._anatomy.num_prefix_tokens + 1
        return logits_of(model.forward_head(tokens[:, None].expand(-1, places, -1)), model)

    def _map(self, patches: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return a layer's map (B, n) of patches (B, n, D), and its mean identifiability (B,).

        Some images at a time.
        """
        model: Any = self._model
        step = max(1, _LOGITS // (patches.shape[1] * self._anatomy.num_classes))
        parts, means = [], []
        for start in range(0, len(patches), step):
            part = model.norm(patches[start : start + step]).flatten(0, 1)
            logits = self._classify(part)
            own = target[start : start + step].repeat_interleave(patches.shape[1])
            rank = _rank(logits, own).view(-1, patches.shape[1])
            # Of whole numbers, whose sum has no order.
            total = logits.shape[-1] * patches.shape[1]
            means.append(1 - rank.sum(1).float() / total)
            if self._value == "rank":
                parts.append(1 - rank.float() / logits.shape[-1])
            else:
                values = logits.gather(1, own[:, None])[:, 0].relu().float()
                parts.append(values.view_as(rank))
        return torch.cat(parts), torch.cat(means)

    def _check(self, tokens: Tensor, logits: Tensor) -> None:
        """Compare norm and head behind the last block with the model's own answer."""
        again, size = self._readout(tokens), logits.abs().amax()
        tolerance = float(max(1e-4, 8 * torch.finfo(logits.dtype).eps) * size)
        same = again.shape == logits.shape and torch.allclose(again, logits, 0, tolerance)
        if not same:
            raise UnsupportedModel(
                f"{self._anatomy.name} does more between its last block and its classifier than a "
                "norm and a mean; use flow.method daam or attention"
            )


def _identifiability(logits: Tensor, target: Tensor) -> Tensor:
    """Return 1 − rank / C (…) of the class ``target`` (…) among logits (…, C)."""
    return 1 - _rank(logits, target).float() / logits.shape[-1]


def _rank(logits: Tensor, target: Tensor) -> Tensor:
    """Return how many of the logits (…, C) are larger than that of the class ``target`` (…)."""
    return (logits > logits.gather(-1, target[..., None])).sum(-1)

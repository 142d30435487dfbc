"""Statistics of attention heads: what each head of each layer attends to, image by image.

With a[q, j] the attention of query q to key j, N keys of which the first are prefix tokens (class
token, registers) and the others the image's patches, mean over the queries q:

* ``entropy``: −Σ_j a log a ÷ log N (Clark et al. 2019, arXiv 1906.04341, section 3.3);
* ``distance``: Σ_q Σ_j a d ÷ Σ_q Σ_j a over patches j, with d the distance of the centres of both
  patches, in diagonals of the image (Vig and Belinkov 2019, arXiv 1906.04284, section 4.3; in
  images Dosovitskiy et al. 2021, arXiv 2010.11929, figure 7);
* ``prefix``, ``sinks``, ``self``: Σ a over prefix tokens; over the patches that have an outstanding
  norm behind the last block (:func:`pipeline.measures.sinks.sinks`); and a[q, q].

They are of the queries that are patches. ``token_…`` are the same of the token that the classifier
reads (class token, mean over several, or the latent query of an attention pool). What a layer does
not have is NaN: patches do not ask in class attention, and no token is read where patches are
averaged.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.flows.flow import Flow, Method
from pipeline.flows.head_statistics import Sums, means, patch_distances, table
from pipeline.flows.layers import as_a_pair
from pipeline.flows.recording import Attention, check_sum, check_tokens
from pipeline.flows.transformer import TransformerMethod
from pipeline.measures.sinks import sinks
from pipeline.models import Anatomy, Layer
from pipeline.models.sharing import of_this_thread
from pipeline.models.structure.anatomy import Rows
from pipeline.models.structure.attention_calls import AttentionCalls, Call, is_exploring

HEADS = "heads"
"""The name of the statistics among a flow's extras."""


class WithHeads(TransformerMethod):
    """A method whose flow also has the statistics of all attention heads.

    They are computed in the method's own forward pass, where the attention is; there is no other
    pass. Few rows of a layer's attention are in memory at a time.

    Parameters
    ----------
    method
        Any method bound to ``model`` that runs it on a batch as a whole.
    model
        A vision transformer in evaluation mode, of timm or any other library.

    Raises
    ------
    UnsupportedModel
        See :func:`pipeline.models.anatomy`.
    """

    def __init__(self, method: Method, model: nn.Module) -> None:
        try:
            super().__init__(model)
        except UnsupportedModel as error:
            raise _without(error) from error
        self._method = method
        self.targeted = bool(getattr(method, "targeted", True))

    @property
    def head_layers(self) -> tuple[str, ...]:
        """The layers of the statistics, L names; known after the first images."""
        return self._anatomy.names

    def prepare(self, session: ExitStack) -> None:
        """Open the method's own context within this one."""
        super().prepare(session)
        session.enter_context(self._method)

    @as_a_pair
    def __call__(
        self, images: Tensor, targets: Tensor | None = None, exclude: Tensor | None = None
    ) -> Flow:
        """Return the method's flow, with ``heads`` (B, L, H, S) float32 among its extras.

        The S statistics are those of :data:`pipeline.measures.heads.HEAD_STATISTICS`, in [0, 1], of
        L layers (``head_layers``) and the most heads H that one has; NaN where there is none.

        Raises
        ------
        UnsupportedModel
            The attention is not that of heads over all patches, or the method does not run the
            model on a batch as a whole.
        """
        try:
            self.require_open(images)
            lying = self.lying(images, self._patches)
            if not all(lying):
                raise UnsupportedModel(
                    f"the patches that {self._anatomy.name} attends to do not lie on the image row "
                    "by row, so they have no distances"
                )
            watch = _HeadWatch(self._anatomy, images, verify=not self._verified)
        except UnsupportedModel as error:
            raise _without(error) from error
        own = {} if exclude is None else {"exclude": exclude}
        with watch.hooks(), watch:
            flow = self._method(images, targets, **own)
        try:
            found = watch.statistics()
        except UnsupportedModel as error:
            raise _without(error) from error
        self._verified = True
        return replace(flow, extras={**flow.extras, HEADS: found})


def _without(error: UnsupportedModel) -> UnsupportedModel:
    return UnsupportedModel(f"flow.heads: {error}; or leave flow.heads out")


@cache
def _distances(grid: tuple[int, int], size: tuple[int, int], device: torch.device) -> Tensor:
    """Return the distances of patches, once for a device: a GPU would wait for every copy."""
    with torch.inference_mode(False):
        return patch_distances(grid, size).to(device)


def _without_gap(rows: list[int]) -> Rows:
    """Return ascending rows as a slice where they follow one another: a list is copied to a GPU."""
    first, last = rows[0], rows[-1] + 1
    return slice(first, last) if rows == list(range(first, last)) else rows


class _HeadWatch(AttentionCalls):
    """Sums up the attention of the first pass on a batch, layer by layer, as it is computed."""

    def __init__(self, anatomy: Anatomy, images: Tensor, verify: bool) -> None:
        super().__init__(len(images))
        self._anatomy, self._verify = anatomy, verify
        self._size = (images.shape[-2], images.shape[-1])
        self._grid = anatomy.grid(*self._size)
        self._running: int | None = None
        self._sums: dict[int, Sums] = {}
        self._tokens: Tensor | None = None

    @property
    def watching(self) -> bool:  # type: ignore[override]
        return self._running is not None

    def hooks(self) -> ExitStack:
        """Register hooks that note which layer is running, until the returned context ends."""
        with ExitStack() as stack:
            for number, layer in enumerate(self._anatomy.layers):
                enter, leave = of_this_thread(self._enter(number)), of_this_thread(self._leave)
                stack.callback(layer.block.register_forward_pre_hook(enter).remove)
                stack.callback(layer.block.register_forward_hook(leave).remove)
            if self._anatomy.last is not None:
                keep = of_this_thread(self._keep_tokens)
                stack.callback(self._anatomy.last.register_forward_hook(keep).remove)
            return stack.pop_all()

    def _enter(self, number: int) -> Callable[..., None]:
        def run(block: nn.Module, inputs: Any) -> None:
            if number not in self._sums and not is_exploring():
                self._running = number

        return run

    def _leave(self, block: nn.Module, inputs: Any, output: Any) -> None:
        self._running = None

    def _keep_tokens(self, block: nn.Module, inputs: Any, output: Any) -> None:
        if self._tokens is None and not is_exploring():
            self._tokens = self._anatomy.tokens_of(output).detach()

    def see(self, call: Call, output: Tensor) -> Tensor:
        assert self._running is not None
        given = (call.query, call.key, call.value, call.mask, call.scale, output, call.weights)
        attention = Attention(*(v.detach() if isinstance(v, Tensor) else v for v in given))  # type: ignore[arg-type]
        try:
            with torch.no_grad(), torch.autocast(output.device.type, enabled=False):
                self._add(self._running, attention)
        except UnsupportedModel as error:
            raise _without(error) from error
        return output

    def _add(self, number: int, attention: Attention) -> None:
        layer = self._anatomy.layers[number]
        if number in self._sums:
            raise UnsupportedModel(
                f"{self._anatomy.name} attends more than once in {layer.name}, so its heads "
                "cannot be distinguished"
            )
        check_tokens(self._anatomy.name, layer, attention, self._grid)
        if self._verify:
            check_sum(self._anatomy.name, layer.name, attention, slice(0, None))
        self._sums[number] = self._summed(layer, attention)

    def _summed(self, layer: Layer, attention: Attention) -> Sums:
        queries, keys = attention.query.shape[2], attention.key.shape[2]
        asking = queries == keys  # all tokens ask, patches among them
        before = range(layer.prefix) if asking else range(queries)
        rows = range(queries)[layer.rows] if isinstance(layer.rows, slice) else layer.rows
        read = [row for row in rows if row in before]
        far = _distances(self._grid, self._size, attention.key.device)
        patches, token = None, None
        if asking:
            patches = means(attention, slice(layer.prefix, None), layer.prefix, far=far)
        if read:
            among = asking or self._anatomy.readout == "class attention"
            token = means(attention, _without_gap(read), layer.prefix, among=among)
        return Sums(patches, token)

    def statistics(self) -> Tensor:
        """Return the statistics (B, L, H, S) of the pass."""
        count = len(self._anatomy.layers)
        if len(self._sums) != count or any(
            len(part[1]) != self._images
            for sums in self._sums.values()
            for part in (sums.patches, sums.token)
            if part is not None
        ):
            raise UnsupportedModel(
                f"the method does not run {self._anatomy.name} on a batch as a whole, so its heads "
                "are not seen"
            )
        with torch.no_grad():
            sink = None if self._tokens is None else sinks(self._norms(self._tokens))
            layers = [table(self._sums[number], sink) for number in range(count)]
        most = max(layer.shape[1] for layer in layers)
        return torch.stack(
            [
                nn.functional.pad(layer, (0, 0, 0, most - layer.shape[1]), value=torch.nan)
                for layer in layers
            ],
            dim=1,
        )

    def _norms(self, tokens: Tensor) -> Tensor:
        patches = tokens[:, self._anatomy.num_prefix_tokens :].float()
        norms: Tensor = patches.norm(dim=-1)[:, None]
        return norms

"""Feature Activation Map (arXiv 2307.05017) and SFAM (arXiv 2506.01636).

Both explain why a model that decides by similarity finds a query f like its references g. With A
the last activations on the image and ω the weights of the embedding's channels,

    ω = minmax_c(parts of the similarity),   map = Σ_c ω_c · A_c,

where the embedding is the mean of A. Where it is not (a norm, a projector, a class token), ω is
pulled back to A by one VJP.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.flows.flow import Flow
from pipeline.flows.references.gallery import By, Gallery, Similarity
from pipeline.flows.session import Session
from pipeline.flows.transformer import graphs
from pipeline.models.structure.activations import last_activations


class Fam(Session):
    """FAM (arXiv 2307.05017) and SFAM (arXiv 2506.01636): Σ_c ω_c · A_c, one layer.

    ω are the channels' parts of the similarity, stretched to 0 … 1: of FAM the cosine's f̂ ⊙ ĝ, of
    SFAM those of any similarity. Forward only where the embedding is the mean of A.

    Parameters
    ----------
    model
        A timm model in evaluation mode, with or without a head.
    references, reference_labels
        (M, D) embeddings of reference images, of the kind ``embedding``, and (M,) their labels.
    similarity
        ``cosine``, or ``euclidean``: minus the squared distance, with the parts −(f − g)², which
        is our reading of the SFAM paper.
    by, k, temperature, n_way, k_shot, seed
        What a query is compared with; see :class:`pipeline.flows.references.gallery.Gallery`.
    embedding
        ``model``: what a classifier reads; ``pooled``: the mean of the last activations.
    signed
        Keep the signs of the parts (divided by the largest) instead of stretching them to 0 … 1,
        which turns the channel that speaks most against the references into nothing.

    Raises
    ------
    ConfigError
        There are no references.
    ValueError
        They do not fit each other, or ``signed`` is given for a distance.

    Examples
    --------
    >>> with create_flow("fam", model, references=features, reference_labels=labels) as flow:
    ...     maps = flow(images).maps  # (B, 1, h, w)
    """

    def __init__(
        self,
        model: nn.Module,
        references: Tensor | None = None,
        reference_labels: Tensor | None = None,
        similarity: Similarity = "cosine",
        by: By = "prototypes",
        k: int = 20,
        temperature: float | None = None,
        n_way: int | None = None,
        k_shot: int | None = None,
        seed: int = 0,
        embedding: Literal["model", "pooled"] = "model",
        signed: bool = False,
    ) -> None:
        if references is None or reference_labels is None:
            raise ConfigError(
                "the method compares images with references and has none; "
                "give flow.references: {run: a run with flow.features: true}"
            )
        if signed and similarity == "euclidean":
            raise ValueError(
                "the parts of a distance all have one sign, so there is none to keep; "
                "use signed: false, or similarity: cosine"
            )
        self._gallery = Gallery(
            references,
            reference_labels,
            by=by,
            similarity=similarity,
            k=k,
            temperature=temperature,
            n_way=n_way,
            k_shot=k_shot,
            seed=seed,
        )
        super().__init__(model)
        self._kind, self._signed = embedding, signed

    def __call__(
        self, images: Tensor, targets: Tensor | None = None, exclude: Tensor | None = None
    ) -> Flow:
        """Return the flow of a batch; every image's map is independent of its batch mates.

        Parameters
        ----------
        images
            (B, 3, H, W) float, normalised, on the model's device.
        targets, exclude
            Labels (or listed references) to explain, and the reference to leave out for each
            image; see :meth:`pipeline.flows.references.gallery.Gallery.ask`.

        Returns
        -------
        Flow
            ``maps`` (B, 1, h, w) float32 ≥ 0: the map, lifted by its minimum where that is
            negative, which keeps the order of its cells; with ``signed`` cut at zero. Activations
            behind a ReLU need no lift. Those of a transformer do, and one very negative cell then
            leaves all others nearly alike: prefer ``signed`` where mass matters. ``logits``
            (B, K) are similarities to the K labels. Extra ``signed`` (B, 1, h, w) is the map as
            it is.

        Raises
        ------
        ValueError
            Embeddings of another width than the references', targets out of range, or a flow used
            outside its context.
        UnsupportedModel
            It is not known how the model's last activations lie on the image.
        """
        self.require_open(images)
        with graphs():
            if not all(self.lying(images, self._last)):
                raise UnsupportedModel(
                    f"the last activations of {type(self._model).__name__} do not lie on the image "
                    "as their axes say, so no map can be made of them; use input_gradient"
                )
            found = last_activations(self._model, images.detach(), self._kind)
            answer = self._gallery.ask(found.embedding, targets, exclude)
            pulled = found.pull_back(answer.weights(self._signed))
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            exact = torch.promote_types(found.maps.dtype, torch.float32)
            signed = (found.maps.to(exact) * pulled.to(exact)).sum(dim=1, keepdim=True).float()
            lowest = signed.amin(dim=(2, 3), keepdim=True).clamp(max=0)
        return Flow(
            maps=signed.relu() if self._signed else signed - lowest,
            layers=(found.layer,),
            logits=answer.logits,
            target=answer.target,
            extras={"signed": signed},
        )

    def _last(self, images: Tensor) -> list[Tensor]:
        return [last_activations(self._model, images, self._kind).maps]

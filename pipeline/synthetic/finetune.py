"""A pretrained vision transformer, fine-tuned on the CPU: frozen blocks are computed once.

Only the last blocks, the norm and a new head are trained. What the frozen ones make of an image
does not change, so it is computed once for all trainings on the same photographs, and a training
takes minutes on two cores.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file, save
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import ConfigError
from pipeline.synthetic.train import Epoch, one_thread

_BATCH = 32


@dataclass(frozen=True)
class FineTuning:
    """Everything but the images that determines a fine-tuning."""

    weights: str
    """A .safetensors file of the timm model, or ``pretrained``."""
    model: str = "vit_tiny_patch16_224"
    """A plain vision transformer of timm."""
    size: int | None = None
    """Side of the images in pixels; by default the model's own."""
    trained_blocks: int = 3
    epochs: int = 5
    learning_rate: float = 3e-4
    seed: int = 0

    def options(self) -> dict[str, int]:
        """Return the arguments of ``timm.create_model`` beside the name."""
        return {} if self.size is None else {"img_size": self.size}


class SplitModel:
    """A vision transformer in two parts: frozen blocks, and the rest with a head of its own."""

    def __init__(self, recipe: FineTuning, classes: int) -> None:
        """Load the model.

        Raises
        ------
        ConfigError
            It is no plain vision transformer, or has not so many blocks.
        """
        pretrained = recipe.weights == "pretrained"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            model = timm.create_model(
                recipe.model, pretrained=pretrained, num_classes=classes, **recipe.options()
            )
        if not isinstance(model, timm.models.VisionTransformer):
            raise ConfigError(f"{recipe.model} is no plain vision transformer; name one of timm")
        self.frozen_blocks = len(model.blocks) - recipe.trained_blocks
        if not 0 <= self.frozen_blocks < len(model.blocks):
            raise ConfigError(f"trained_blocks must be 1 to {len(model.blocks)}")
        if not pretrained:
            _load(model, recipe)
        self.model = model.eval()
        data = timm.data.resolve_model_data_config(model)
        self.size: int = model.patch_embed.img_size[0]
        self.mean, self.std = tuple(data["mean"]), tuple(data["std"])
        first = model.blocks[: self.frozen_blocks]
        self._frozen = nn.ModuleList([model.patch_embed, model.norm_pre, first])
        for parameter in [*self._frozen.parameters(), *self._tokens_of(model)]:
            parameter.requires_grad_(False)

    @torch.no_grad()
    def tokens(self, pixels: Tensor) -> Tensor:
        """Return what the frozen blocks make of images (n, 3, H, W) uint8, float16 (n, T, D)."""
        return torch.cat([self._tokens(part) for part in torch.split(pixels, _BATCH)])

    @torch.no_grad()
    def predict(self, tokens: Tensor) -> Tensor:
        """Return the predicted class (n,) of images by their :meth:`tokens`."""
        parts = torch.split(tokens, 4 * _BATCH)
        return torch.cat([self.finish(part).argmax(1) for part in parts])

    def finish(self, tokens: Tensor) -> Tensor:
        """Return logits (n, classes) of images by their :meth:`tokens`."""
        hidden = tokens.float()
        for block in self.model.blocks[self.frozen_blocks :]:
            hidden = block(hidden)
        logits: Tensor = self.model.forward_head(self.model.norm(hidden))
        return logits

    def _tokens(self, pixels: Tensor) -> Tensor:
        mean = torch.tensor(self.mean)[:, None, None]
        std = torch.tensor(self.std)[:, None, None]
        hidden = self.model.patch_embed((pixels.float() / 255 - mean) / std)
        hidden = self.model.norm_pre(self.model._pos_embed(hidden))
        for block in self.model.blocks[: self.frozen_blocks]:
            hidden = block(hidden)
        halved: Tensor = hidden.half()
        return halved

    @staticmethod
    def _tokens_of(model: nn.Module) -> list[nn.Parameter]:
        names = ("pos_embed", "cls_token", "reg_token")
        found = [getattr(model, name, None) for name in names]
        return [value for value in found if isinstance(value, nn.Parameter)]


def _load(model: nn.Module, recipe: FineTuning) -> None:
    """Load all but the head; positions are resampled where the images have another size."""
    refusal = ConfigError(f"{recipe.weights} does not hold the weights of {recipe.model}")
    try:
        tensors = checkpoint_filter_fn(load_file(recipe.weights), model)
        kept = {name: value for name, value in tensors.items() if not name.startswith("head.")}
        missing, unknown = model.load_state_dict(kept, strict=False)
    except (RuntimeError, KeyError) as error:  # other shapes
        raise refusal from error
    if unknown or set(missing) - {"head.weight", "head.bias"}:
        raise refusal


def cached_tokens(split: SplitModel, recipe: FineTuning, pixels: Tensor, cache: Path) -> Tensor:
    """Return :meth:`SplitModel.tokens` of images, computed once for the same images and weights."""
    digest = hashlib.blake2b(pixels.numpy().tobytes(), digest_size=16)
    digest.update(f"{recipe.model} {split.frozen_blocks} {timm.__version__}".encode())
    for name, value in sorted(split.model.state_dict().items()):
        if not name.startswith("head."):
            digest.update(value.numpy().tobytes())
    file = cache / f"{digest.hexdigest()}.safetensors"
    if file.exists():
        kept: Tensor = load_file(file)["tokens"]
        return kept
    tokens = split.tokens(pixels)
    cache.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_bytes(save({"tokens": tokens}))
    partial.replace(file)
    return tokens


def fine_tune(
    split: SplitModel,
    tokens: Tensor,
    labels: Tensor,
    recipe: FineTuning,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> None:
    """Train the last blocks, norm and head of a model in place: AdamW, one cycle, one thread.

    ``tokens`` (n, T, D) are those of the training images, ``labels`` (n,) their classes.
    """
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        trained = [value for value in split.model.parameters() if value.requires_grad]
        head = set(split.model.get_classifier().parameters())
        groups: list[dict[str, Any]] = [
            {"params": [value for value in trained if value not in head]},
            {"params": list(head), "lr": 10 * recipe.learning_rate},
        ]
        optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=0.05)
        rates = [group["lr"] for group in optimiser.param_groups]
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, rates, total_steps=recipe.epochs * -(-len(labels) // _BATCH), pct_start=0.2
        )
        for epoch in range(recipe.epochs):
            total = 0.0
            for rows in torch.split(torch.randperm(len(labels)), _BATCH):
                loss = functional.cross_entropy(split.finish(tokens[rows]), labels[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(trained, 1.0)
                optimiser.step()
                optimiser.zero_grad()
                schedule.step()
                total += loss.item() * len(rows)
            on_epoch(Epoch(epoch + 1, recipe.epochs, total / len(labels)))

"""How well half precision keeps the order of places: ``python -m tests.flows.precision [DATA]``.

Real weights and photographs; ViT-Ti at 224 pixels, MobileNetV2 at 128. Every method runs in float32
and under autocast for the same classes; compared are ranks of a map's cells (Spearman's, ties at
their mean rank). The table in pipeline/flows/README.md is what this prints.

How delicate a method's maps are is read on the same machine: the yardstick is the same method in
float32, for images and weights that were rounded to the half once.
"""

import argparse
import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from scipy.stats import rankdata
from torch import Tensor, nn

from pipeline.flows import Flow, accumulate, create_flow
from pipeline.images.transform import InputTransform
from pipeline.models import embed, load_model

HALVES = (torch.bfloat16, torch.float16)
TRANSFORMER, CONVOLUTIONAL = "vit_tiny_patch16_224", "mobilenetv2_100"
SETTINGS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    TRANSFORMER: ("vit_tiny_patch16_224", {}, {}),
    CONVOLUTIONAL: (
        "mobilenetv2_100_same",
        {"pad_type": "same"},
        {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "size": [128, 128]},
    ),
}
_LAYERED = {name: (name, {}) for name in ("gradcam", "hirescam", "layercam", "input_gradient")}
METHODS: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    TRANSFORMER: {
        "daam": ("daam", {}),
        "daam with a bank": ("daam", {"bank": "bank"}),
        "attention": ("attention", {}),
        "rollout": ("rollout", {}),
        "relevance": ("relevance", {}),
        **_LAYERED,
        "activation": ("activation", {}),
        "fam": ("fam", {"bank": "reference"}),
    },
    CONVOLUTIONAL: {
        "naflow": ("naflow", {}),
        "naflow, released": ("naflow", {"mode": "released"}),
        "naflow, references": ("naflow", {"mode": "released", "bank": "reference"}),
        **_LAYERED,
        "activation": ("activation", {}),
        "fam": ("fam", {"bank": "reference"}),
    },
}
"""Methods and options; ``bank`` says what the option for features near the images' is called."""


@dataclass(frozen=True)
class Agreement:
    """Rank correlations with float32: all maps' mean, the mean of the lowest ``layer``, the lowest
    of any image's accumulated flow."""

    mean: float
    lowest: float
    layer: str
    flow: float


def subject(data: Path, name: str, count: int) -> tuple[nn.Module, Tensor]:
    """A model with its real weights and photographs as it wants them."""
    weights, options, changes = SETTINGS[name]
    loaded = load_model(name, str(data / f"weights/{weights}.safetensors"), options)
    transform = InputTransform.from_dict({**loaded.input, **changes})
    files = sorted((data / "imagenet_val_1300/images").iterdir())[:: 1200 // count][:count]
    pixels = [transform(Image.open(file).convert("RGB")) for file in files]
    images = torch.stack([torch.from_numpy(image) for image in pixels])
    return loaded.model, transform.normalise(images)


def compare(
    model: nn.Module, images: Tensor, method: str, **options: Any
) -> list[tuple[Agreement, Agreement]]:
    """Return for both halves how well autocast agrees with float32, and the yardstick does."""
    if prefix := options.pop("bank", None):
        options |= _near(model, images, prefix)
    with create_flow(method, model, **options) as flow:
        wanted = flow(images)
        layers = wanted.layers if wanted.maps.shape[1] > 1 else ("–",)
        pairs = []
        for half in HALVES:
            with torch.autocast("cpu", dtype=half):
                rough = flow(images, wanted.target)
            assert rough.maps.dtype == rough.logits.dtype == torch.float32
            once = flow_of_rounded(model, images, wanted.target, half, method, **options)
            pairs.append(
                tuple(_agreement(maps, wanted.maps, layers) for maps in (rough.maps, once.maps))
            )
    return pairs


def flow_of_rounded(
    model: nn.Module,
    images: Tensor,
    target: Tensor,
    half: torch.dtype,
    method: str,
    **options: Any,
) -> Flow:
    """Run a method in float32 on weights and images that were rounded to a half.

    Autocast rounds both, and then what the layers say; all roundings are of one relative size. So
    a method that keeps float32 where it must strays from float32's maps not much further.
    """
    rounded = copy.deepcopy(model)
    with torch.no_grad():
        for weight in rounded.parameters():
            if weight.ndim > 1:  # autocast leaves norms in float32
                weight.copy_(weight.to(half))
    with create_flow(method, rounded, **options) as flow:
        return flow(images.to(half).float(), target)


def rank_correlation(found: Tensor, wanted: Tensor) -> Tensor:
    """Spearman's of maps (…, h, w); NaN where both are constant, 0 where only one is."""
    ranks = [torch.from_numpy(rankdata(maps.flatten(-2), axis=-1)) for maps in (found, wanted)]
    left, right = (rank - rank.mean(dim=-1, keepdim=True) for rank in ranks)
    sizes = left.norm(dim=-1), right.norm(dim=-1)
    blank = torch.where(sizes[0] + sizes[1] == 0, math.nan, 0.0)
    size = sizes[0] * sizes[1]
    return torch.where(size > 0, (left * right).sum(dim=-1) / size, blank)


def _agreement(found: Tensor, wanted: Tensor, layers: tuple[str, ...]) -> Agreement:
    every = rank_correlation(found, wanted)
    per_layer = every.nanmean(dim=0)
    worst = int(per_layer.argmin())
    flows = rank_correlation(accumulate(found)[:, -1], accumulate(wanted)[:, -1])
    lowest = float(per_layer[worst])
    return Agreement(float(every.nanmean()), lowest, layers[worst], float(flows.min()))


def _near(model: nn.Module, images: Tensor, prefix: str) -> dict[str, Tensor]:
    """References near the images' embeddings; every image is a label."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        near = embed(model, images).repeat(20, 1)
    noise = torch.randn(near.shape, generator=generator) * near.std() / 4
    name = "bank" if prefix == "bank" else "references"
    labels = torch.arange(len(near)) % len(images)
    return {name: near + noise, f"{prefix}_labels": labels}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    beside = Path(__file__).parents[3] / "shared/data"
    parser.add_argument("data", type=Path, nargs="?", default=beside)
    parser.add_argument("--images", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| model | method | bf16: mean | lowest layer | flow | fp16: mean | lowest layer | flow |"
    )
    print("| --- |" + " --- |" * 7)
    for name, methods in METHODS.items():
        model, images = subject(arguments.data, name, arguments.images)
        for title, (method, options) in methods.items():
            words = [
                f"{found.mean:.3f} | {found.lowest:.3f} ({found.layer}) | {found.flow:.3f}"
                for found, _ in compare(model, images, method, **options)
            ]
            print(f"| {name} | {title} | {' | '.join(words)} |", flush=True)


if __name__ == "__main__":
    main()

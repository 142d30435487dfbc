"""Every method on a GPU against the same on the CPU, and half precision against float32."""

from dataclasses import dataclass, field
from typing import Any

import timm
import torch
from torch import Tensor, nn

from pipeline.engine.benchmark.computing import rank_correlation
from pipeline.flows import create_flow
from pipeline.flows.registry import METHODS

_REFERENCES = 200
_CLASSES = 10

CONVOLUTIONAL = ("naflow", "gradcam", "hirescam", "layercam", "fam", "sfam")
"""Shown on a convolutional network; the others on a transformer."""

TOLERANCE = 1e-3
"""Largest difference of a map, relative to the image's largest cell; iterative solvers included."""


@dataclass(frozen=True)
class Case:
    """A method with its options on a model; ``references`` are their names there."""

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    references: str | None = None
    targeted: bool = True

    @property
    def name(self) -> str:
        """The method and what is special of this case."""
        more = [str(value) for value in self.options.values()]
        more += ["references"] if self.references else []
        return " ".join([self.method, *more])


def cases() -> list[Case]:
    """Return a case for every method, and more for those that compute in several ways."""
    found = [
        Case("daam", references="bank"),
        Case("naflow", {"mode": "released"}),
    ]
    for method in METHODS:
        named = "reference" if method in ("fam", "sfam") else None
        found.append(Case(method, references=named, targeted=named is None))
    return found


def models(quick: bool) -> tuple[nn.Module, nn.Module, int]:
    """Return a transformer, a convolutional network and the side of their images."""
    torch.manual_seed(0)
    if quick:
        small = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
        vit = timm.create_model("vit_tiny_patch16_224", num_classes=_CLASSES, **small)
        cnn = timm.create_model("resnet10t", num_classes=_CLASSES)
        return vit.eval(), cnn.eval(), 32
    vit = timm.create_model("vit_tiny_patch16_224", img_size=128, depth=6, num_classes=_CLASSES)
    cnn = timm.create_model("resnet18", num_classes=_CLASSES)
    return vit.eval(), cnn.eval(), 128


def options_of(case: Case, model: nn.Module, device: str) -> dict[str, Any]:
    """Return a case's options, with references on the device."""
    if case.references is None:
        return case.options
    whole = "bank" if case.references == "bank" else "references"
    generator = torch.Generator().manual_seed(1)
    width = int(model.num_features)
    features = torch.randn(_REFERENCES, width, generator=generator)
    labels = torch.arange(_REFERENCES) % _CLASSES
    given = {whole: features.to(device), f"{case.references}_labels": labels.to(device)}
    return case.options | given


def flow_of(
    case: Case, model: nn.Module, images: Tensor, device: str, dtype: torch.dtype | None = None
) -> tuple[Tensor, float]:
    """Return the maps (B, L, h, w) of class 3 on the CPU, and the peak of the device's memory."""
    model.to(device)
    targets = torch.full((len(images),), 3, device=device) if case.targeted else None
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with (
        create_flow(case.method, model, **options_of(case, model, device)) as flow,
        torch.autocast(device, dtype=dtype, enabled=dtype is not None),
    ):
        maps = flow(images.to(device), targets).maps.float().cpu()
    peak = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0.0
    return maps, peak


def table(device: str, quick: bool) -> list[str]:
    """Return a row for every case; RuntimeError if one differs too much."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    vit, cnn, side = models(quick)
    images = torch.randn(2 if quick else 8, 3, side, side, generator=torch.Generator())
    lines = [
        f"Largest difference to the CPU in float32, of the image's largest cell (at most "
        f"{TOLERANCE:g}); lowest rank correlation of the accumulated flows in bfloat16.",
        "",
        "| method | model | difference | bfloat16 | MiB |",
        "| --- | --- | --- | --- | --- |",
    ]
    wrong = []
    for case in cases():
        model = cnn if case.method in CONVOLUTIONAL else vit
        exact, _ = flow_of(case, model, images, "cpu")
        found, peak = flow_of(case, model, images, device)
        largest = exact.amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)
        difference = float(((found - exact) / largest).abs().max())
        half, _ = flow_of(case, model, images, device, torch.bfloat16)
        agreement = rank_correlation(exact.sum(1), half.sum(1))
        lines.append(
            f"| {case.name} | {type(model).__name__} | {difference:.1e} | {agreement:.4f} | "
            f"{peak:,.0f} |"
        )
        if not difference <= TOLERANCE:
            wrong.append(case.name)
    if wrong:
        raise RuntimeError("\n".join([f"differ from the CPU: {', '.join(wrong)}", *lines]))
    return lines

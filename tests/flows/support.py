"""Which method explains which model exactly: ``python -m tests.flows.support``.

For every family of ``tests.flows.families`` and every column of ``COLUMNS`` the method is run on
two images of a small model and compared with an independent plain definition (unfused, one image
at a time), or the sentence of its refusal is recorded. Anything else is an error. The table is
written to pipeline/flows/SUPPORT.md, the errors are printed.

To add a method, append a ``Column`` with its plain definition.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.flows import create_flow
from tests.flows import cams, inversion, projecting, reference, similarity, towers, windowed
from tests.flows.families import FAMILIES, Family

PATH = Path(__file__).parents[2] / "pipeline/flows/SUPPORT.md"
TOLERANCE = 2e-5  # of a map's maximum


@dataclass(frozen=True)
class Column:
    """A method with options, and its plain definition.

    ``define(model, image, **options)`` returns one image's (3, H, W) map of every layer, (n,) or
    (h, w) each in the layer's own size, for the class the model predicts; ``options(model)`` are
    those of ``create_flow``.
    """

    title: str
    method: str
    define: Callable[..., Iterable[Tensor]]
    options: Callable[[nn.Module], dict[str, Any]] = field(default=lambda model: {})
    tolerance: float = TOLERANCE
    often_zero: bool = False  # a layer whose channels together speak against the class


def reference_bank(model: nn.Module) -> dict[str, Any]:
    """A bank of 40 random features of the model's own width, 4 labels."""
    generator = torch.Generator().manual_seed(3)
    width = getattr(model, "head_hidden_size", None) or getattr(model, "num_features", 4)
    return {
        "bank": torch.randn(40, width, generator=generator),
        "bank_labels": torch.arange(40) % 4,
    }


@lru_cache(maxsize=4)  # the definitions of one family share it
def explained(model: nn.Module, image: Tensor) -> reference.Seeing:
    """The definition's view of an image, for the class that the model predicts."""
    see = reference.see if hasattr(model, "forward_features") else towers.see
    return see(model, image)


def activation(model: nn.Module, image: Tensor) -> list[Tensor]:
    """Norms of what the blocks or stages that timm names put out, patch by patch."""
    kept: list[Tensor] = []
    stages = windowed.stages(model) or [
        model.get_submodule(s["module"]) for s in model.feature_info
    ]
    hooks = [stage.register_forward_hook(lambda m, i, o: kept.append(o)) for stage in stages]
    with torch.no_grad():
        model(image[None])
    for hook in hooks:
        hook.remove()
    kept = [output[0] if isinstance(output, tuple) else output for output in kept]  # PiT's map
    if isinstance(model, windowed.Hiera):
        return [windowed.unrolled(output[0].double().norm(dim=1), model) for output in kept]
    if windowed.stages(model):
        return [windowed.patches(output[0].double().norm(dim=1)) for output in kept]
    only_patches = hasattr(model, "blocks_token_only") or hasattr(model, "cls_attn_blocks")
    prefix = 0 if only_patches else getattr(model, "num_prefix_tokens", 0)
    most = max(output.shape[1] for output in kept)
    maps = []
    for output, stage in zip(kept, model.feature_info, strict=True):
        values = output[0].double()
        if values.ndim == 2:  # tokens; the class token may join later, as in ConViT
            maps.append(values[prefix if len(values) == most else 0 :].norm(dim=1))
        else:  # channels first, or last as in Swin
            maps.append(values.norm(dim=0 if len(values) == stage["num_chs"] else 2))
    return maps


def _daam(model: nn.Module, image: Tensor) -> Iterable[Tensor]:
    """The definition for a model of one resolution, or within windows."""
    if not windowed.has_windows(model):
        return reference.daam(explained(model, image))
    return windowed.daam(model, image)


def _self_supervised(model: nn.Module, image: Tensor, bank: Tensor, bank_labels: Tensor) -> Tensor:
    feature = reference.see(model, image, weights=torch.ones(1)).result
    weights, _ = reference.channel_weights(feature, bank, bank_labels)
    return reference.daam(reference.see(model, image, weights=weights), relu=False)


STEPS = {"iterations": 3, "tolerance": 0.0}


def _naflow(model: nn.Module, image: Tensor, **options: Any) -> list[Tensor]:
    with torch.no_grad():
        places = inversion.published(inversion.chain(model, image))
    maps = inversion.naflow(model, image, iterations=STEPS["iterations"])
    return [maps[place] for place in places]


def _released(model: nn.Module, image: Tensor, mode: str) -> list[Tensor]:
    return cams.cam("naflow", model, image, mode=mode)


def _given(options: Callable[[nn.Module], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Options for timm's models, and any references for a model that has no embedding."""
    anything = {"references": torch.ones(2, 4), "reference_labels": torch.arange(2)}
    return lambda model: options(model) if hasattr(model, "forward_features") else anything


COLUMNS: tuple[Column, ...] = (
    Column("daam", "daam", _daam, often_zero=True),
    # Without the ReLU on g its parts cancel, so rounding weighs more.
    Column("daam, with a bank", "daam", _self_supervised, reference_bank, tolerance=1e-4),
    Column(
        "attention", "attention", lambda model, image: reference.attention(explained(model, image))
    ),
    Column("rollout", "rollout", lambda model, image: reference.rollout(explained(model, image))),
    Column(
        "relevance", "relevance", lambda model, image: reference.relevance(explained(model, image))
    ),
    Column("naflow", "naflow", _naflow, lambda model: STEPS),
    Column("naflow, released", "naflow", _released, lambda model: {"mode": "released"}),
    Column("gradcam", "gradcam", partial(cams.cam, "gradcam"), tolerance=1e-3, often_zero=True),
    Column("hirescam", "hirescam", partial(cams.cam, "hirescam"), tolerance=1e-3, often_zero=True),
    Column("layercam", "layercam", partial(cams.cam, "layercam"), tolerance=1e-3, often_zero=True),
    Column("input_gradient", "input_gradient", cams.input_gradient),
    # A drop is the difference of two logits that are nearly equal, so rounding weighs more.
    Column("occlusion", "occlusion", cams.occlusion, tolerance=1e-2, often_zero=True),
    Column("projection", "projection", projecting.projection),
    Column("activation", "activation", activation),
    Column("fam, sfam", "fam", similarity.fam, _given(similarity.references_of)),
    Column("fam, pooled", "fam", similarity.pooled_fam, _given(similarity.pooled_references_of)),
)


@dataclass(frozen=True)
class Cell:
    """``error`` is the largest difference in units of a map's maximum, or ``refusal`` says no."""

    error: float | None
    refusal: str | None = None


def row(family: Family, columns: tuple[Column, ...] = COLUMNS) -> list[Cell]:
    """Run every method on a family; AssertionError if maps are not exact."""
    model = family.build()
    images = family.images(model, 2)
    singles = list(images)
    return [_cell(family.name, column, model, images, singles) for column in columns]


def _cell(
    name: str, column: Column, model: nn.Module, images: Tensor, singles: list[Tensor]
) -> Cell:
    options = column.options(model)
    try:
        with create_flow(column.method, model, **options) as flow:
            result = flow(images)
    except UnsupportedModel as error:
        return Cell(None, str(error))
    worst = 0.0
    native = result.native or result.maps.unbind(dim=1)
    for index, image in enumerate(singles):
        for maps, wanted in zip(native, column.define(model, image, **options), strict=True):
            error = (maps[index].flatten() - wanted.flatten()).abs().max()
            scale = wanted.abs().max()
            if scale == 0 and column.often_zero:
                assert error == 0, f"{name}, {column.title}: not zero"
                continue
            assert scale > 0, f"{name}, {column.title}: a map of zeros proves nothing"
            worst = max(worst, float(error / scale))
    assert worst <= column.tolerance, f"{name}, {column.title}: off by {worst:.1e}"
    return Cell(worst)


def table(rows: dict[str, list[Cell]], columns: tuple[Column, ...] = COLUMNS) -> str:
    """Return the Markdown text of the whole matrix."""
    lines = [
        "# Which method explains which model",
        "",
        "**exact**: equal to an independent plain definition (one image, unfused attention) on a",
        "small model of the family with random weights. **no**: refused, with the reason below.",
        "Written by `python -m tests.flows.support`; a test keeps it current.",
        "",
        "| family | " + " | ".join(column.title for column in columns) + " |",
        "| --- |" + " --- |" * len(columns),
    ]
    for name, cells in rows.items():
        words = ["exact" if found.refusal is None else "no" for found in cells]
        lines.append(f"| {name} | " + " | ".join(words) + " |")
    lines += ["", "## Why not", ""]
    for name, cells in rows.items():
        reasons: dict[str, list[str]] = {}
        for column, found in zip(columns, cells, strict=True):
            if found.refusal is not None:
                reasons.setdefault(found.refusal, []).append(column.title)
        for reason, titles in reasons.items():
            lines.append(f"- **{name}** – {'; '.join(titles)}: {reason}")
    return "\n".join(lines) + "\n"


def main() -> None:
    torch.set_num_threads(1)
    rows = {family.name: row(family) for family in FAMILIES}
    PATH.write_text(table(rows), encoding="utf-8")
    for name, cells in rows.items():
        found = ("no" if cell.error is None else f"{cell.error:.0e}" for cell in cells)
        print(f"{name:45}", *(f"{word:>9}" for word in found))


if __name__ == "__main__":
    main()

"""What happens on the models of every module of timm: ``python -m tests.flows.support_matrix``.

The smallest models of each module are built with random weights and explained by every kind of
method, each in a process and a time of its own. A cell says that the method ran, with how many
layers, or with which sentence it refused; anything else is a crash. For every layer that is kept
the corner test is made: a change of a corner of the image must change that corner of the layer's
activations more than the other three. This test knows nothing of how a layout is proven.
"""

import argparse
import json
import multiprocessing
import resource
import warnings
from collections import Counter
from collections.abc import Callable
from itertools import islice, product
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import list_modules
from torch import Tensor, nn

from pipeline.errors import FlowatlasError
from pipeline.flows import create_flow
from pipeline.flows.methods.activation import Activation
from pipeline.flows.methods.fam import Fam
from pipeline.flows.transformer import TransformerMethod
from pipeline.models import embed
from pipeline.models.structure.tokens import has_tokens

SIDE = 128
PARAMETERS = 120e6
"""Larger models are skipped: two gigabytes with their activations in float32."""

METHODS: dict[str, dict[str, Any]] = {
    "daam": {},
    "rollout": {},
    "naflow": {"iterations": 1},
    "gradcam": {},
    "input_gradient": {},
    "activation": {},
    "fam": {},
}


def smallest(count: int) -> dict[str, list[tuple[int, str]]]:
    """Return parameters and names of the ``count`` smallest models of each module of timm."""
    found = {}
    for module in list_modules():
        sizes = []
        for name in timm.list_models(module=module):
            with torch.device("meta"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    model = timm.create_model(name)
                except Exception:  # some count layers by values, which meta tensors have not
                    continue
            sizes.append((sum(p.numel() for p in model.parameters()), name))
        names = timm.list_models(module=module)
        found[module] = sorted(sizes)[:count] or [(0, name) for name in names[:1]]
    return found


def build(name: str) -> tuple[nn.Module, Tensor]:
    """Return a model with random weights, and two images of 128 pixels or of its own size."""
    torch.manual_seed(0)
    try:
        model = timm.create_model(name, num_classes=7, img_size=SIDE).eval()
    except Exception:  # takes no img_size, or not this one
        model = timm.create_model(name, num_classes=7).eval()
    images = structured(SIDE)
    try:
        with torch.no_grad():
            model(images)
    except Exception:  # is of a fixed size
        model = timm.create_model(name, num_classes=7).eval()
        images = structured(model.pretrained_cfg["input_size"][-1])
    classifier = model.get_classifier()
    for head in classifier if isinstance(classifier, tuple | list) else [classifier]:
        if isinstance(head, nn.Linear):
            nn.init.normal_(head.weight, std=0.1)
    return model, images


def structured(side: int) -> Tensor:
    """Return an image of noise and one of waves, (2, 3, side, side)."""
    noise = torch.randn(3, side, side, generator=torch.Generator().manual_seed(1))
    ramp = torch.linspace(0, 9, side)
    wave = torch.sin(ramp)[:, None] * torch.cos(2 * ramp)
    return torch.stack([noise, wave.expand(3, -1, -1)])


def layers_of(method: Any, model: nn.Module, images: Tensor) -> list[Tensor]:
    """Return the activations (B, C, h, w) that a method's maps are made of."""
    if isinstance(method, TransformerMethod):
        return method._patches(images)
    if isinstance(method, Fam):
        return method._last(images)
    if isinstance(method, Activation):
        stages, lying = method._stages(images), method._lying[images.shape[-2:]]
        return [stage for stage, lies in zip(stages, lying, strict=True) if lies]
    seen = method.tokens(images) if has_tokens(model) else method.trunk(images)
    return list(seen.as_maps(seen.points))


@torch.no_grad()
def corners(read: Callable[[Tensor], list[Tensor]], images: Tensor) -> list[bool]:
    """Return for every layer whether a corner's change changes that corner the most.

    That is of the logarithm of the change, less what is due to the image's corner (its contrast)
    or to the layer's corner (its sensitivity) alone.
    """
    plain, block = read(images), images.shape[-1] // 4
    halves = (slice(0, block), slice(-block, None))
    moved = []
    for rows, columns in product(halves, halves):
        changed = images.clone()
        patch = changed[..., rows, columns]
        patch += torch.randn(patch.shape, generator=torch.Generator().manual_seed(2)).to(patch)
        moved.append([_moved(one, two) for one, two in zip(plain, read(changed), strict=True)])
    return [_matched(torch.stack(layer)) for layer in zip(*moved, strict=True)]


def _moved(before: Tensor, after: Tensor) -> Tensor:
    """Return the logarithms of the mean change in the four corners of a layer, (4,)."""
    change = (after - before).double().square().sum(dim=(0, 1))
    height, width = (max(1, size // 3) for size in change.shape)
    ends = product((slice(0, height), slice(-height, None)), (slice(0, width), slice(-width, None)))
    return torch.stack([change[end].mean() for end in ends]).clamp(min=1e-300).log()


def _matched(moved: Tensor) -> bool:
    """Return whether changes (4 of the image, 4 of the layer) are largest on the diagonal."""
    moved = moved - moved.mean(dim=0) - moved.mean(dim=1, keepdim=True)
    return moved.argmax(dim=1).tolist() == [0, 1, 2, 3]


def explain(name: str, method: str, model: nn.Module, images: Tensor) -> dict[str, Any]:
    """Return what a method does on a model: ``ran`` with layers and failed corners, or not."""
    options = dict(METHODS[method])
    try:
        if method == "fam":
            with torch.no_grad():
                width = embed(model, images).shape[1]
            torch.manual_seed(0)
            options = {"references": torch.randn(6, width)}
            options["reference_labels"] = torch.arange(6) % 3
        with create_flow(method, model, **options) as flow:
            result = flow(images)
            if method == "input_gradient":
                return {"ran": 1, "failed": []}
            tested = corners(lambda x: layers_of(flow, model, x), images)
    except FlowatlasError as error:
        return {"refused": str(error)}
    except Exception as error:
        return {"crashed": f"{type(error).__name__}: {error}"[:300]}
    wide = [min(layer.shape[1:]) > 1 for layer in result.native or result.maps.unbind(1)]
    failed = [
        layer
        for layer, fine, more in zip(result.layers, tested, wide, strict=True)
        if more and not fine
    ]
    return {"ran": len(result.layers), "failed": failed}


def row(name: str) -> dict[str, dict[str, Any]]:
    """Return what every method does on a model."""
    model, images = build(name)
    return {method: explain(name, method, model, images) for method in METHODS}


def _child(name: str, pipe: Any) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (9 * 2**30, 9 * 2**30))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    pipe.send(row(name))


def guarded(name: str, seconds: float) -> dict[str, dict[str, Any]]:
    """Return the row of a model that may take ``seconds`` and nine gigabytes."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_child, args=(name, there))
    process.start()
    there.close()
    found: dict[str, dict[str, Any]] = {}
    try:
        if here.poll(seconds):
            found = here.recv()
        else:
            found = {method: {"skipped": f"more than {seconds:.0f} s"} for method in METHODS}
    except EOFError:
        found = {method: {"crashed": "the process died"} for method in METHODS}
    process.kill()
    process.join()
    return found


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="a file of JSON lines, one for each model")
    parser.add_argument("--each", type=int, default=3, help="models of each module")
    parser.add_argument("--seconds", type=float, default=120, help="for one model")
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), help="this of so many parts")
    given = parser.parse_args()
    part, parts = given.part
    listed = Path(f"{given.out}.sizes")
    if not listed.exists():
        listed.write_text(json.dumps(smallest(given.each)), encoding="utf-8")
    modules = json.loads(listed.read_text(encoding="utf-8"))
    names = [(module, size, name) for module, items in modules.items() for size, name in items]
    counts: Counter[str] = Counter()
    with given.out.open("a", encoding="utf-8") as stream:
        for module, size, name in islice(names, part, None, parts):
            if size > PARAMETERS:
                cells = {
                    method: {"skipped": f"{size / 1e6:.0f} M parameters"} for method in METHODS
                }
            else:
                cells = guarded(name, given.seconds)
            counts.update(next(iter(cell)) for cell in cells.values())
            counts["failed corners"] += sum(len(cell.get("failed", [])) for cell in cells.values())
            stream.write(json.dumps({"module": module, "model": name, "cells": cells}) + "\n")
            stream.flush()
    print(dict(counts))


if __name__ == "__main__":
    main()

"""What happens on the models of every module of timm: ``python -m tests.flows.support_matrix``.

The smallest models of each module are built with random weights and explained by every kind of
method, each in a process and a time of its own. A cell says that the method ran, with how many
layers, or with which sentence it refused; anything else is a crash. The layers that are kept go
through the corner test (:mod:`tests.flows.corners`). The results are appended to a file of JSON
lines, in which a model that is there already is not tried again, and of all files given to
``--table`` a table is made in pipeline/flows/MODELS.md.
"""

import argparse
import json
import math
import multiprocessing
import re
import resource
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from time import monotonic
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
from tests.flows.corners import calibrated, corners, noise

PATH = Path(__file__).parents[2] / "pipeline/flows/MODELS.md"
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


def by_size() -> dict[str, list[tuple[int, str]]]:
    """Return parameters and names of the models of each module of timm, the smallest first."""
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
        found[module] = sorted(sizes) or [(0, name) for name in names[:1]]
    return found


def build(name: str) -> tuple[nn.Module, Tensor]:
    """Return a model with random weights, and two images of 128 pixels or of its own size."""
    options: list[dict[str, Any]] = [{"img_size": SIDE}, {}, {}]
    for own, option in enumerate(options):
        torch.manual_seed(0)
        try:
            model = timm.create_model(name, num_classes=7, **option).eval()
            side = model.pretrained_cfg["input_size"][-1] if own == 2 else SIDE
            images = noise(side, 2, seed=5).float()
            with torch.no_grad():
                model(images)
            break
        except Exception:  # takes no img_size, or is of a fixed size
            if own == 2:
                raise
    classifier = model.get_classifier() if hasattr(model, "get_classifier") else None
    for head in classifier if isinstance(classifier, tuple | list) else [classifier]:
        if isinstance(head, nn.Linear):
            nn.init.normal_(head.weight, std=0.1)
    return model, images


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


def options_of(method: str, model: nn.Module, images: Tensor) -> dict[str, Any]:
    """Return what a method needs; of ``fam`` six random references."""
    if method != "fam":
        return dict(METHODS[method])
    with torch.no_grad():
        width = embed(model, images).shape[1]
    torch.manual_seed(0)
    references = torch.randn(6, width).to(images)
    return {"references": references, "reference_labels": torch.arange(6) % 3}


def explain(method: str, model: nn.Module, images: Tensor) -> dict[str, Any]:
    """Return that a method ran and its layers, or how it refused or crashed."""
    try:
        with create_flow(method, model, **options_of(method, model, images)) as flow:
            layers = list(flow(images).layers)
    except FlowatlasError as error:
        return {"refused": str(error)}
    except Exception as error:
        return {"crashed": f"{type(error).__name__}: {error}"[:300]}
    return {"ran": len(layers), "layers": layers}


def tested(method: str, model: nn.Module, side: int) -> list[str]:
    """Return the corner test's verdict of every layer of a method."""
    images = noise(side, 2, seed=5)
    with create_flow(method, model, **options_of(method, model, images)) as flow:
        flow(images)
        return corners(lambda x: layers_of(flow, model, x), side)


ALIKE = {"rollout": "daam", "naflow": "gradcam"}
"""Methods that read the same layers, so that these are tested once."""


def row(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what every method does on a model, first without and then with the corner test."""
    model, images = build(name)
    cells = {}
    for method in METHODS:
        cells[method] = explain(method, model, images)
        yield method, cells[method]
    side = images.shape[-1]
    calibrated(model, side)
    found: dict[tuple[str, int], list[str]] = {}
    for method, cell in cells.items():
        if "ran" not in cell or method == "input_gradient":
            continue
        key = ALIKE.get(method, method), cell["ran"]
        try:
            if key not in found:
                start = monotonic()
                found[key] = tested(method, model, side)
                if "unclear" in found[key] and monotonic() - start < 5:
                    found[key] = _larger(method, model, side, found[key])
            cell["corners"] = found[key]
        except Exception as error:
            cell["corners"] = f"{type(error).__name__}: {error}"[:300]
        yield method, cell


def _larger(method: str, model: nn.Module, side: int, verdicts: list[str]) -> list[str]:
    """Test what is unclear on images of twice the size, if the model takes them."""
    try:
        larger = tested(method, model, 2 * side)
    except Exception:  # is of a fixed size
        return verdicts
    if len(larger) != len(verdicts):
        return verdicts
    return [b if a == "unclear" else a for a, b in zip(verdicts, larger, strict=True)]


def _child(name: str, pipe: Any) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (9 * 2**30, 9 * 2**30))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    try:
        for item in row(name):
            pipe.send(item)
    except Exception as error:  # timm's own model
        pipe.send(("", {"skipped": f"timm: {type(error).__name__}: {error}"[:200]}))
    pipe.send(None)


def guarded(name: str, seconds: float) -> dict[str, dict[str, Any]]:
    """Return the row of a model that may take ``seconds`` and nine gigabytes."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_child, args=(name, there))
    process.start()
    there.close()
    found: dict[str, dict[str, Any]] = {}
    rest, end = {"skipped": f"more than {seconds:.0f} s"}, monotonic() + seconds
    try:
        while here.poll(max(0, end - monotonic())):
            if (item := here.recv()) is None:
                break
            if item[0]:
                found[item[0]] = item[1]
            else:
                rest = item[1]
    except EOFError:
        rest = {"crashed": "the process died"}
    process.kill()
    process.join()
    return {method: found.get(method, rest) for method in METHODS}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the Markdown table of rows, one line for each model, with the totals."""
    reasons: dict[str, int] = {}
    total: Counter[str] = Counter()
    lines, failures = [], []
    for item in sorted(rows, key=lambda item: (item["module"], item["model"])):
        texts, seen = [], {}
        for method in METHODS:
            cell = item["cells"][method]
            kind = next(iter(cell))
            total[kind] += 1
            if kind == "ran":
                texts.append(str(cell["ran"]))
                if method != "input_gradient":
                    seen[ALIKE.get(method, method), cell["ran"]] = cell
            elif kind == "refused":
                reason = _kind_of(cell["refused"], item["model"])
                texts.append(f"no ({reasons.setdefault(reason, len(reasons) + 1)})")
            else:
                texts.append("–" if kind == "skipped" else kind)
        counts: Counter[str] = Counter()
        for (method, layers), cell in seen.items():
            verdicts = cell.get("corners")
            verdicts = verdicts if isinstance(verdicts, list) else ["not tested"] * layers
            counts.update(verdicts)
            failures += [
                f"{item['model']}, {method}: {layer}"
                for layer, verdict in zip(cell["layers"], verdicts, strict=True)
                if verdict == "failed"
            ]
        total.update({f"layers {key}": count for key, count in counts.items()})
        corner = ", ".join(f"{counts[key]} {key}" for key in sorted(counts)) or "–"
        texts.append(corner)
        if any("skipped" in cell for cell in item["cells"].values()):
            why = next(c["skipped"] for c in item["cells"].values() if "skipped" in c)
            texts[-1] = f"skipped: {why}" if not counts else f"{corner}; skipped: {why}"
        lines.append(f"| {item['module']} | {item['model']} | " + " | ".join(texts) + " |")
    return _HEADER.format(
        models=len(lines),
        modules=len({item["module"] for item in rows}),
        cells=", ".join(f"{total[key]} {key}" for key in ("ran", "refused", "skipped", "crashed")),
        layers=", ".join(f"{total[k]} {k[7:]}" for k in sorted(total) if k.startswith("layers")),
        columns=" | ".join(METHODS),
        rule=" | ".join("---" for _ in range(len(METHODS) + 3)),
        rows="\n".join(lines),
        failures="\n".join(f"- {line}" for line in failures) or "None.",
        reasons="\n".join(f"{number}. {reason}" for reason, number in reasons.items()),
    )


_HEADER = f"""# What happens on the models of timm

Models of timm with random weights, on images of {SIDE} pixels or of their own
size. A number says that the method ran, with so many layers; *no* that it refused, with the reason
below; – that it was skipped. Every layer goes through the corner test: changes in a corner of the
image must change the cells of that corner more than any other arrangement of the cells would have
it. *unclear* is a layer where all cells depend on all of the image alike, or some corners on none,
or of fewer than two rows or columns; *not tested* one whose test did not end in the model's time.
Written by `python -m tests.flows.support_matrix --table`.

{{models}} models of {{modules}} modules. Methods on models: {{cells}}. Layers: {{layers}}.

| module | model | {{columns}} | corner test |
| {{rule}} |
{{rows}}

## Layers that failed the corner test

{{failures}}

## Reasons

{{reasons}}
"""


def _kind_of(reason: str, model: str) -> str:
    """Return a refusal without the names and sizes of one model."""
    reason = re.sub(r"\(\d+(, \d+)*\)", "(…)", reason.replace(model, "the model"))
    return re.sub(r"^[A-Z]\w*|(?<=\bof )[A-Z]\w*", "the model", reason)


def _lines(paths: Sequence[Path]) -> list[str]:
    return [line for path in paths for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="+", help="JSON lines, one for each model")
    parser.add_argument("--each", type=int, default=3, help="models of each module")
    parser.add_argument("--seconds", type=float, default=120, help="for one model")
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), help="this of so many parts")
    parser.add_argument("--minutes", type=float, default=math.inf, help="start no model after it")
    parser.add_argument("--table", action="store_true", help="only write the table of the files")
    given = parser.parse_args()
    if given.table:
        rows = {item["model"]: item for item in map(json.loads, _lines(given.out))}
        PATH.write_text(table(list(rows.values())), encoding="utf-8")
        return
    out = given.out[0]
    listed = Path(f"{out}.sizes")
    if not listed.exists():
        listed.write_text(json.dumps(by_size()), encoding="utf-8")
    modules = json.loads(listed.read_text(encoding="utf-8"))
    names = [(m, size, name) for m, items in modules.items() for size, name in items[: given.each]]
    done = {json.loads(line)["model"] for line in _lines([out])} if out.exists() else set()
    end = monotonic() + 60 * given.minutes
    with out.open("a", encoding="utf-8") as stream:
        for module, size, name in islice(names, given.part[0], None, given.part[1]):
            if name in done or monotonic() > end:
                continue
            too_large = {"skipped": f"{size / 1e6:.0f} M parameters"}
            cells = (
                dict.fromkeys(METHODS, too_large)
                if size > PARAMETERS
                else guarded(name, given.seconds)
            )
            stream.write(json.dumps({"module": module, "model": name, "cells": cells}) + "\n")
            stream.flush()


if __name__ == "__main__":
    main()

"""What does SATA cost and change? ``python -m tests.bench.bench_sata [--weights FILE]``.

Plain model and SATA at several alphas run interleaved in one process; medians are compared. FLOPs
are counted by torch on the same batch (matrix products, attention and convolutions, two per
multiply-add); ``MLP tokens`` is the share of tokens that the MLPs of the changed blocks still see.
With ``--images`` (a folder) and ``--labels`` (JSON, class folder → class index, or CSV with the
columns file and label), accuracy of all on these photographs; ``--crop`` is the share of the
resized image that the centre crop keeps, by default the model's. Not collected by pytest.
"""

import argparse
import csv
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import timm
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline.images import InputTransform
from pipeline.images.decoding.decode import decode
from pipeline.models import load_model
from pipeline.models.loading.sata import sata

ALPHAS = (0.5, 1.0, 2.0)


def photographs(folder: Path, labels: Path, loaded) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of normalised images and their labels."""
    known = class_of(labels)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    transform = InputTransform.from_dict(loaded.input)
    for start in range(0, len(files), 32):
        part = files[start : start + 32]
        pictures = [decode(path.read_bytes(), 10**8).image for path in part]
        pixels = torch.stack([torch.from_numpy(transform(picture)) for picture in pictures])
        yield transform.normalise(pixels), torch.tensor([known(path) for path in part])


def class_of(labels: Path) -> Callable[[Path], int]:
    """Return the function from an image's path to its class."""
    if labels.suffix == ".csv":
        with labels.open() as rows:
            by_file = {row["file"]: int(row["label"]) for row in csv.DictReader(rows)}
        return lambda path: by_file[path.name]
    by_folder = json.loads(labels.read_text())
    return lambda path: by_folder[path.parent.name]


@torch.no_grad()
def seconds(model: nn.Module, images: Tensor) -> float:
    start = time.perf_counter()
    model(images)
    if images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


@torch.no_grad()
def flops(model: nn.Module, images: Tensor) -> float:
    """Return the floating-point operations of one image."""
    with FlopCounterMode(display=False) as counter:
        model(images)
    return counter.get_total_flops() / len(images)


@torch.no_grad()
def tokens_left(plain: nn.Module, changed: nn.Module, images: Tensor) -> float:
    """Return the share of tokens that the MLPs of the changed blocks see."""
    pairs = zip(plain.blocks, changed.blocks, strict=True)
    blocks = [new for old, new in pairs if new is not old]
    seen: list[int] = []
    hooks = [
        block.mlp.register_forward_pre_hook(lambda m, i: seen.append(i[0][..., 0].numel()))
        for block in blocks
    ]
    changed(images)
    left = sum(seen)
    seen.clear()
    plain(images)  # shares the MLPs
    for hook in hooks:
        hook.remove()
    return left / sum(seen) if blocks else 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="vit_tiny_patch16_224")
    parser.add_argument("--weights")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--crop", type=float)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    if arguments.weights:
        loaded = load_model(arguments.model, arguments.weights)
        if arguments.crop:
            loaded = replace(loaded, input={**loaded.input, "crop_pct": arguments.crop})
        plain = loaded.model
    else:
        plain = timm.create_model(arguments.model).eval().requires_grad_(False)
    plain = plain.to(arguments.device)
    models = {"plain": plain} | {f"alpha {alpha:g}": sata(plain, alpha=alpha) for alpha in ALPHAS}
    images = torch.randn(arguments.batch, 3, *plain.patch_embed.img_size)
    if arguments.images:
        images = next(photographs(arguments.images, arguments.labels, loaded))[0]
    images = images.to(arguments.device)
    cost(arguments, models, images)
    if arguments.images:
        accuracy(arguments, models, loaded)


def cost(arguments: argparse.Namespace, models: dict[str, nn.Module], images: Tensor) -> None:
    times: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(arguments.rounds + 1):
        for name, model in models.items():
            taken = seconds(model, images)
            if turn:  # the first turn warms up
                times[name].append(taken)
    plain = flops(models["plain"], images)
    print(
        f"{arguments.model}, batch {len(images)}, {arguments.device}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print(
        f"{'':12} {'images/s':>9} {'of plain':>9} {'GFLOPs':>8} {'of plain':>9} {'MLP tokens':>11}"
    )
    for name, model in models.items():
        rate = len(images) / statistics.median(times[name])
        ratio = statistics.median(times["plain"]) / statistics.median(times[name])
        work = flops(model, images)
        left = tokens_left(models["plain"], model, images)
        words = (f"{rate:.1f}", f"{ratio:.2f}x", f"{work / 1e9:.2f}", f"{work / plain:.3f}x")
        print(f"{name:12}", *(f"{word:>10}" for word in (*words, f"{left:.1%}")))


@torch.no_grad()
def accuracy(arguments: argparse.Namespace, models: dict[str, nn.Module], loaded) -> None:
    right, total, same = dict.fromkeys(models, 0), 0, dict.fromkeys(models, 0)
    for images, labels in photographs(arguments.images, arguments.labels, loaded):
        said = {
            name: model(images.to(arguments.device)).argmax(1).cpu()
            for name, model in models.items()
        }
        total += len(labels)
        for name, classes in said.items():
            right[name] += int((classes == labels).sum())
            same[name] += int((classes == said["plain"]).sum())
    for name in models:
        print(f"{name:12} top-1 {right[name] / total:.3%}, as plain {same[name] / total:.3%}")
    print(f"on {total} photographs")


if __name__ == "__main__":
    main()

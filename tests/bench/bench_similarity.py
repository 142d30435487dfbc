"""How fast are the methods of similarity models? ``python -m tests.bench.bench_similarity``.

fam and activation against a plain forward pass, and forward and backward into the first layer's
input, of the same model; interleaved in one process, medians compared. ``fam`` pulls the weights
back through the model's neck, ``fam pooled`` needs none; both have 10,000 references of 100
classes, as prototypes or (``nearest``) searched for the 20 nearest. Not collected by pytest.
"""

import argparse
import statistics
import time
from contextlib import ExitStack

import timm
import torch
from torch import Tensor, nn

from pipeline.flows import create_flow
from pipeline.models import embed


def to_input(model: nn.Module, images: Tensor) -> None:
    leaf = images.clone().requires_grad_()
    torch.autograd.grad(embed(model, leaf).sum(), leaf)


@torch.no_grad()
def forward(model: nn.Module, images: Tensor) -> None:
    embed(model, images)


def references(width: int, device: str) -> dict[str, Tensor]:
    return {
        "references": torch.randn(10_000, width, device=device),
        "reference_labels": torch.arange(10_000, device=device) % 100,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["vit_tiny_patch16_224", "mobilenetv2_100"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    for name in arguments.models:
        measure(name, arguments)


def measure(name: str, arguments: argparse.Namespace) -> None:
    device = arguments.device
    model = timm.create_model(name, num_classes=0).eval().requires_grad_(False).to(device)
    images = torch.randn(arguments.batch, *model.pretrained_cfg["input_size"], device=device)
    bank = references(model.head_hidden_size, device)
    pooled = references(model.num_features, device)
    with ExitStack() as stack:
        flows = {
            title: stack.enter_context(create_flow(method, model, **options))
            for title, method, options in (
                ("activation", "activation", {}),
                ("fam", "fam", bank),
                ("fam nearest", "fam", {**bank, "by": "neighbours"}),
                ("fam pooled", "fam", {**pooled, "embedding": "pooled"}),
            )
        }
        running = {
            "forward": lambda: forward(model, images),
            "to input": lambda: to_input(model, images),
        } | {title: (lambda flow=flow: flow(images)) for title, flow in flows.items()}
        times: dict[str, list[float]] = {title: [] for title in running}
        for turn in range(arguments.rounds + 1):
            for title, run in running.items():
                start = time.perf_counter()
                run()
                if device == "cuda":
                    torch.cuda.synchronize()
                if turn:  # the first turn warms up
                    times[title].append(time.perf_counter() - start)
    print(f"{name}, batch {arguments.batch}, {device}, {torch.get_num_threads()} threads")
    print(f"{'':12} {'images/s':>9} {'of forward':>11} {'of to input':>12}")
    base = {title: statistics.median(taken) for title, taken in times.items()}
    for title, taken in base.items():
        ratios = (base["forward"] / taken, base["to input"] / taken)
        print(f"{title:12} {arguments.batch / taken:9.1f} {ratios[0]:10.2f}x {ratios[1]:11.2f}x")


if __name__ == "__main__":
    main()

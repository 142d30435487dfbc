"""DAAM beside forward, and forward and backward, of the same model in the same precision."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import timm
import torch
from torch import Tensor, nn

from pipeline.engine.benchmark.computing import matmul_rate
from pipeline.engine.benchmark.operations import counted
from pipeline.engine.benchmark.timing import Timer
from pipeline.flows import create_flow
from pipeline.measures import measure
from tests.bench.bench_flows import forward, to_tokens

_QUICK: dict[str, Any] = {
    "img_size": 32,
    "patch_size": 8,
    "embed_dim": 24,
    "depth": 2,
    "num_heads": 2,
}

_MODELS = (
    ("vit_tiny_patch16_224", 256),
    ("vit_small_patch16_224", 256),
    ("vit_base_patch16_224", 256),
    ("vit_tiny_patch16_224", 64),
    ("vit_base_patch16_224", 64),
)

Step = Callable[[], object]


def steps(model: nn.Module, images: Tensor, session: ExitStack) -> dict[str, Step]:
    """Return what is timed: float32 weights with autocast, then all of it in bfloat16."""
    device = images.device.type

    def autocast(step: Step) -> Step:
        def run() -> None:
            with torch.autocast(device, dtype=torch.bfloat16):
                step()

        return run

    daam = session.enter_context(create_flow("daam", model))
    found = {
        "forward": autocast(lambda: forward(model, images)),
        "fwd+bwd": autocast(lambda: to_tokens(model, images)),
        "daam": autocast(lambda: daam(images)),
    }
    flow = daam(images)
    return found | {"measures": lambda: measure(flow)}


def table(device: str, quick: bool) -> list[str]:
    """Return a row for every model, batch size and precision."""
    timer = Timer(torch.device(device), 0.01 if quick else 1.0)
    matmul = matmul_rate("bfloat16", Timer(timer.device, 0.01 if quick else 1.0))
    lines = [
        f"images/s; fwd+bwd is to the first block's tokens, without gradients of parameters. "
        f"bfloat16 product of large matrices: {matmul / 1e12:,.2f} TFLOP/s.",
        "",
        "| model, batch, bf16 by | forward | fwd+bwd | daam | measures | daam ÷ fwd+bwd | "
        "forward, of the product | measures, of the step | GiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, batch in _MODELS[:1] if quick else _MODELS:
        for weights in ("autocast", "weights"):
            size = 2 if quick else batch
            lines.append(_row(name, size, weights, quick, timer, matmul))
            if device == "cuda":
                torch.cuda.empty_cache()
    return lines


def _row(name: str, batch: int, by: str, quick: bool, timer: Timer, matmul: float) -> str:
    torch.manual_seed(0)
    device = timer.device.type
    model = timm.create_model(name, **(_QUICK if quick else {})).eval().requires_grad_(False)
    model = model.to(device)
    side = 32 if quick else 224
    images = torch.randn(batch, 3, side, side, device=device)
    operations = counted(lambda: forward(model, images[:1]))
    if by == "weights":
        model, images = model.to(torch.bfloat16), images.to(torch.bfloat16)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with ExitStack() as session:
        rates = timer.rates(steps(model, images, session), batch)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0
    share = operations * rates["forward"] / matmul
    of_step = (1 / rates["measures"]) / (1 / rates["measures"] + 1 / rates["daam"])
    return (
        f"| {name}, {batch}, {by} | {rates['forward']:,.0f} | {rates['fwd+bwd']:,.0f} | "
        f"{rates['daam']:,.0f} | {rates['measures']:,.0f} | "
        f"{rates['daam'] / rates['fwd+bwd']:.2f} | {share:.0%} | {of_step:.0%} | {peak:.1f} |"
    )

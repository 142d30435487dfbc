"""Methods as one CUDA graph beside the same calls one by one: is it possible, right, and faster?"""

from collections.abc import Callable

import timm
import torch
from torch import Tensor

from pipeline.engine.benchmark.timing import Timer
from pipeline.errors import UnsupportedModel
from pipeline.flows import create_flow
from pipeline.flows.flow import Method

_WARM = 3
_METHODS = ("daam", "attention", "rollout", "relevance", "gradcam", "input_gradient", "activation")
_MODELS = (("vit_tiny_patch16_224", 64), ("vit_small_patch16_224", 64), ("resnet50", 64))


def captured(flow: Method, images: Tensor) -> Callable[[], Tensor]:
    """Return a call that replays the method on what ``images`` then hold, and returns its maps.

    Raises
    ------
    RuntimeError
        The method waits for the GPU, or allocates on the host, while it computes.
    """
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(_WARM):
            flow(images)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        maps = flow(images).maps

    def replay() -> Tensor:
        graph.replay()
        return maps

    return replay


def table(device: str, quick: bool) -> list[str]:
    """Return a row for every method and model, with the reason where there is no graph."""
    if device != "cuda":
        return ["A CPU has no graphs."]
    lines = [
        "bfloat16 weights, predicted classes. The difference is to the same call without a graph, "
        "on images that the graph was not captured with, of the largest cell.",
        "",
        "| method, model, batch | images/s | as a graph | ratio | difference |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, batch in _MODELS[:1] if quick else _MODELS:
        model = timm.create_model(name).eval().requires_grad_(False).to(device, torch.bfloat16)
        for method in _METHODS:
            images = torch.randn(batch, 3, 224, 224, device=device, dtype=torch.bfloat16)
            title = f"{method}, {name}, {batch}"
            try:
                with create_flow(method, model) as flow:
                    lines.append(_row(title, flow, images, 0.1 if quick else 0.7))
            except UnsupportedModel:
                continue
            except RuntimeError as error:
                lines.append(f"| {title} | | {str(error).splitlines()[0]} | | |")
            torch.cuda.empty_cache()
    return lines


def _row(title: str, flow: Method, images: Tensor, seconds: float) -> str:
    timer = Timer(images.device, seconds)
    replay = captured(flow, images)
    images.copy_(torch.randn_like(images))
    exact = flow(images).maps.clone()
    difference = float((replay() - exact).abs().max() / exact.max().clamp_min(1e-12))
    rates = timer.rates({"eager": lambda: flow(images), "graph": replay}, len(images))
    return (
        f"| {title} | {rates['eager']:,.0f} | {rates['graph']:,.0f} | "
        f"{rates['graph'] / rates['eager']:.2f} | {difference:.1e} |"
    )

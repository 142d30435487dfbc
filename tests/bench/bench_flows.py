"""How fast are the methods? ``python -m tests.bench.bench_flows [--model NAME] [--device cuda]``.

Every method that a model has, a batch each: forward, backward and maps. All contestants run
interleaved in one process, so a noisy neighbour slows all of them, and each right behind an
untimed run of itself, as in a dataset; the median of each is compared. ``daam bank``, ``fam`` and
``fam nearest`` have 10,000 references of 100 classes; ``fam pooled`` needs no backward pass.
``daam avg`` is the same model with average pool, whose rows are all patches. Not collected by
pytest.

* ``train step``: forward and backward of the predicted logits into all parameters.
* ``to tokens``: forward and backward into the first block's input (of a convolutional network
  into the image), parameters frozen: the least a gradient method over all blocks needs.
* ``forward``: no gradients.
* ``one image``, of transformers: daam from its definition, one image at a time, unfused N × N
  attention, gradients of everything, always in float32.

``--half`` runs all but the last in bfloat16 as well (marked ``bf16``).
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import timm
import torch
from torch import Tensor, nn

from pipeline.flows import create_flow
from pipeline.models import load_model

ANY: dict[str, tuple[str, dict[str, Any]]] = {
    "gradcam": ("gradcam", {}),
    "hirescam": ("hirescam", {}),
    "layercam": ("layercam", {}),
    "input gradient": ("input_gradient", {}),
    "activation": ("activation", {}),
}
TRANSFORMER: dict[str, tuple[str, dict[str, Any]]] = {
    "daam": ("daam", {}),
    "attention": ("attention", {}),
    "rollout": ("rollout", {}),
    "relevance": ("relevance", {}),
}
WINDOWED: dict[str, tuple[str, dict[str, Any]]] = {"daam": ("daam", {})}
"""Transformers of several stages or windows."""
CONVOLUTIONAL: dict[str, tuple[str, dict[str, Any]]] = {
    "naflow released": ("naflow", {"mode": "released"}),
    "naflow inverse": ("naflow", {}),
}


def score(logits: Tensor) -> Tensor:
    return logits.gather(1, logits.argmax(dim=1, keepdim=True)).sum()


def forward(model: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        model(images)


def train_step(model: nn.Module, images: Tensor) -> None:
    model.requires_grad_(True)
    score(model(images)).backward()
    model.zero_grad(set_to_none=True)
    model.requires_grad_(False)


def to_tokens(model: nn.Module, images: Tensor) -> None:
    leaves: list[Tensor] = []

    def start(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        leaves.append(inputs[0].detach().requires_grad_())
        return (leaves[0], *inputs[1:])

    first = model.blocks[0] if is_transformer(model) else model
    handle = first.register_forward_pre_hook(start)
    try:
        torch.autograd.grad(score(model(images)), leaves)
    finally:
        handle.remove()


def is_transformer(model: nn.Module) -> bool:
    return hasattr(model, "num_prefix_tokens")


def attends(model: nn.Module) -> bool:
    return any(hasattr(module, "fused_attn") for module in model.modules())


def one_image(model: nn.Module, image: Tensor) -> None:
    """The definition: full attention matrices, every value weighted, gradients of everything."""
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    handles = []

    def keep(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        args[0].retain_grad()
        outputs.append(args[0])

    for block in model.blocks:
        block.attn.fused_attn = False
        handles.append(block.attn.register_forward_pre_hook(lambda m, a: inputs.append(a[0])))
        handles.append(block.attn.proj.register_forward_pre_hook(keep))
    model.requires_grad_(True)
    score(model(image.clone().requires_grad_())).backward()
    for block, tokens, output in zip(model.blocks, inputs, outputs, strict=True):
        attention = block.attn
        qkv = attention.qkv(tokens).reshape(1, -1, 3, attention.num_heads, attention.head_dim)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        matrix = (query @ key.transpose(-2, -1) * attention.scale).softmax(dim=-1)
        parts = (matrix[:, :, 0, :, None] * value).transpose(1, 2).flatten(2)
        (parts * output.grad[:, :1].relu()).sum(dim=-1).relu()
    for handle in handles:
        handle.remove()
    for block in model.blocks:
        block.attn.fused_attn = True
    model.zero_grad(set_to_none=True)
    model.requires_grad_(False)


def seconds(run: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def references(width: int, prefix: str, device: str) -> dict[str, Tensor]:
    name = "bank" if prefix == "bank" else "references"
    labels = torch.arange(10_000, device=device) % 100
    return {name: torch.randn(10_000, width, device=device), f"{prefix}_labels": labels}


def contestants(
    arguments: argparse.Namespace, model: nn.Module, images: Tensor, session: ExitStack
) -> dict[str, Callable[[], object]]:
    """What runs on the whole batch; methods are opened once, as in a run."""
    device = arguments.device
    width = getattr(model, "head_hidden_size", None) or model.num_features
    near = references(width, "reference", device)
    pooled = references(model.num_features, "reference", device)
    own = TRANSFORMER if is_transformer(model) else WINDOWED if attends(model) else CONVOLUTIONAL
    methods = {title: create_flow(name, model, **given) for title, (name, given) in own.items()}
    if is_transformer(model):
        average = timm.create_model(arguments.model, global_pool="avg").eval().to(device)
        bank = references(model.num_features, "bank", device)
        methods["daam bank"] = create_flow("daam", model, **bank)
        methods["daam avg"] = create_flow("daam", average.requires_grad_(False))
    methods |= {title: create_flow(name, model, **given) for title, (name, given) in ANY.items()}
    methods["fam"] = create_flow("fam", model, **near)
    methods["fam nearest"] = create_flow("fam", model, **near, by="neighbours")
    methods["fam pooled"] = create_flow("fam", model, **pooled, embedding="pooled")
    flows = {
        title: session.enter_context(method)
        for title, method in methods.items()
        if not arguments.only or title in arguments.only
    }
    return {title: partial(flow, images) for title, flow in flows.items()} | {
        "train step": partial(train_step, model, images),
        "to tokens": partial(to_tokens, model, images),
        "forward": partial(forward, model, images),
    }


def half(run: Callable[[], object], device: str) -> Callable[[], object]:
    def running() -> None:
        with torch.autocast(device, dtype=torch.bfloat16):
            run()

    return running


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="vit_tiny_patch16_224")
    parser.add_argument("--weights")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, help="pixels; by default the model's")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="these methods only")
    parser.add_argument("--half", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = arguments.device
    model = (
        load_model(arguments.model, arguments.weights).model
        if arguments.weights
        else timm.create_model(arguments.model).eval().requires_grad_(False)
    ).to(device)
    height, width = model.pretrained_cfg["input_size"][1:]
    size = (arguments.size or height, arguments.size or width)
    images = torch.randn(arguments.batch, 3, *size, device=device)
    with ExitStack() as session:
        running = contestants(arguments, model, images, session)
        measure(arguments, running, model, images)


def measure(
    arguments: argparse.Namespace,
    running: dict[str, Callable[[], object]],
    model: nn.Module,
    images: Tensor,
) -> None:
    """Run everything in turn and report."""
    device, singles = arguments.device, images[: min(4, len(images))]
    if arguments.half:
        running |= {f"{name} bf16": half(run, device) for name, run in running.items()}
    if is_transformer(model):
        running["one image"] = lambda: [one_image(model, image[None]) for image in singles]
    times: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(arguments.rounds):
        for name, run in running.items():
            run()  # behind something smaller it would first have to get its memory back
            times[name].append(seconds(run, device))
    rates = {
        name: (len(singles) if name == "one image" else len(images)) / statistics.median(taken)
        for name, taken in times.items()
    }
    report(arguments, images, rates)


def report(arguments: argparse.Namespace, images: Tensor, rates: dict[str, float]) -> None:
    """Print rates and their ratios to what a gradient costs, in the same precision."""
    print(
        f"{arguments.model}, {images.shape[-1]} px, batch {len(images)}, {arguments.device}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}; times as many images/s as"
    )
    bases = [name for name in ("train step", "to tokens", "forward", "one image") if name in rates]
    print(f"{'':20} {'images/s':>9}", *(f"{name:>10}" for name in bases))
    for name, rate in rates.items():
        same = " bf16" if name.endswith("bf16") else ""
        others = [rates[base if base == "one image" else base + same] for base in bases]
        ratios = " ".join(
            f"{rate / other:9.{2 if rate > 0.1 * other else 3}f}x" for other in others
        )
        print(f"{name:20} {rate:9.1f} {ratios}")


if __name__ == "__main__":
    main()

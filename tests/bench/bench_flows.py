"""How fast are the methods? ``python -m tests.bench.bench_flows [--weights FILE] [--device cuda]``.

All contestants run interleaved in one process, so a noisy neighbour slows all of them; the
median of each is compared. Not collected by pytest.

* the methods of transformers: a batch, forward, backward and maps (``bank``: daam with a bank of
  10,000 features); ``daam avg`` on the same model with average pool, whose rows are all patches.
* ``train step``: forward and backward of the same logits into all parameters.
* ``to tokens``: forward and backward into the first block's input, parameters frozen: the
  least a gradient method over all blocks needs.
* ``forward``: no gradients.
* ``one image``: daam from its definition, one image at a time, unfused N × N attention, gradients
  of everything, always in float32.

``--half`` runs methods, train step, to tokens and forward in bfloat16 as well (marked ``bf16``).
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import timm
import torch
from torch import Tensor, nn

from pipeline.flows import create_flow
from pipeline.models import load_model


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
    tokens: list[Tensor] = []

    def start(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        tokens.append(inputs[0].detach().requires_grad_())
        return (tokens[0], *inputs[1:])

    handle = model.blocks[0].register_forward_pre_hook(start)
    try:
        torch.autograd.grad(score(model(images)), tokens)
    finally:
        handle.remove()


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


def seconds(run: Callable[[], None], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def contestants(
    model: nn.Module, pooled: nn.Module, images: Tensor, session: ExitStack
) -> dict[str, Callable[[], object]]:
    """What runs on the whole batch; methods are opened once, as in a run."""
    members = torch.randn(10_000, model.num_features, device=images.device)
    bank = {"bank": members, "bank_labels": torch.arange(10_000, device=images.device) % 100}
    methods = {
        "daam": create_flow("daam", model),
        "daam bank": create_flow("daam", model, **bank),
        "daam avg": create_flow("daam", pooled),
        "attention": create_flow("attention", model),
        "rollout": create_flow("rollout", model),
        "relevance": create_flow("relevance", model),
    }
    flows = {name: session.enter_context(method) for name, method in methods.items()}
    return {name: partial(flow, images) for name, flow in flows.items()} | {
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
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--half", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = arguments.device
    model = (
        load_model(arguments.model, arguments.weights).model
        if arguments.weights
        else timm.create_model(arguments.model).eval().requires_grad_(False)
    ).to(device)
    pooled = timm.create_model(arguments.model, global_pool="avg").eval().requires_grad_(False)
    images = torch.randn(arguments.batch, 3, *model.patch_embed.img_size, device=device)
    with ExitStack() as session:
        running = contestants(model, pooled.to(device), images, session)
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
    running["one image"] = lambda: [one_image(model, image[None]) for image in singles]
    times: dict[str, list[float]] = {name: [] for name in running}
    for turn in range(arguments.rounds + 1):
        for name, run in running.items():
            taken = seconds(run, device)
            if turn >= 1:  # the first turn warms up
                times[name].append(taken)
    report(arguments, times, len(singles))


def report(arguments: argparse.Namespace, times: dict[str, list[float]], singles: int) -> None:
    """Print rates and their ratios to what a gradient costs, in the same precision."""
    rates = {
        name: (singles if name == "one image" else arguments.batch) / statistics.median(taken)
        for name, taken in times.items()
    }
    print(
        f"{arguments.model}, batch {arguments.batch}, {arguments.device}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}; times as many images/s as"
    )
    print(f"{'':16} {'images/s':>9} {'train step':>11} {'to tokens':>10} {'one image':>10}")
    for name, rate in rates.items():
        same = " bf16" if name.endswith("bf16") else ""
        others = [rates[f"train step{same}"], rates[f"to tokens{same}"], rates["one image"]]
        ratios = [f"{rate / other:.2f}x" for other in others]
        print(f"{name:16} {rate:9.1f} {ratios[0]:>11} {ratios[1]:>10} {ratios[2]:>10}")


if __name__ == "__main__":
    main()

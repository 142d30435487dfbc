"""How fast is daam? ``python -m tests.bench.bench_flows [--weights FILE] [--device cuda] …``.

All contestants run interleaved in one process, so a noisy neighbour slows all of them; the
median of each is compared. Not collected by pytest.

* ``daam``: forward, backward, maps of a batch.
* ``train step``: forward and backward of the same logits into all parameters.
* ``to tokens``: forward and backward into the first block's input, parameters frozen: the
  least a gradient method over all blocks needs.
* ``forward``: no gradients.
* ``one image``: daam from its definition, one image, unfused N × N attention, gradients of
  everything.
"""

import argparse
import statistics
import time
from collections.abc import Callable

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


def daam(model: nn.Module, images: Tensor) -> None:
    with create_flow("daam", model) as flow:
        flow(images)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="vit_tiny_patch16_224")
    parser.add_argument("--weights")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precision", default="float32")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = (
        load_model(arguments.model, arguments.weights).model
        if arguments.weights
        else timm.create_model(arguments.model).eval().requires_grad_(False)
    ).to(arguments.device)
    images = torch.randn(arguments.batch, 3, *model.patch_embed.img_size, device=arguments.device)
    singles = images[: min(4, arguments.batch)]
    contestants: dict[str, tuple[int, Callable[[], object]]] = {
        "daam": (len(images), lambda: daam(model, images)),
        "train step": (len(images), lambda: train_step(model, images)),
        "to tokens": (len(images), lambda: to_tokens(model, images)),
        "forward": (len(images), lambda: forward(model, images)),
        "one image": (len(singles), lambda: [one_image(model, image[None]) for image in singles]),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    precision = getattr(torch, arguments.precision)
    with torch.autocast(arguments.device, dtype=precision, enabled=precision != torch.float32):
        for turn in range(arguments.rounds + 2):
            for name, (_, run) in contestants.items():
                taken = seconds(run, arguments.device)
                if turn >= 2:  # the first turns warm up
                    times[name].append(taken)
    rates = {name: contestants[name][0] / statistics.median(times[name]) for name in contestants}
    print(
        f"{arguments.model}, {arguments.precision}, batch {arguments.batch}, {arguments.device}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print(f"{'':12} {'images/s':>10} {'daam is':>9}")
    for name, rate in rates.items():
        print(f"{name:12} {rate:10.1f} {rates['daam'] / rate:8.2f}x")


if __name__ == "__main__":
    main()

"""How fast are the methods of convolutional networks? ``python -m tests.bench.bench_cnn …``.

Ratios are to plain forward and backward of the same batch and model, to all parameters; all
contestants run interleaved in one process and medians are compared. Not collected by pytest.

With ``--dense SIDE`` the inverse of one convolution (``--channels`` in, twice as many out, 3 × 3,
images of SIDE pixels) is compared with its dense definition: the Jacobian written out and solved by
``torch.linalg.lstsq``, with the memory that the Jacobian takes.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import timm
import torch
from torch import Tensor, nn

from pipeline.flows import create_flow
from pipeline.flows.linearise import linearise
from pipeline.flows.lsmr import lsmr

METHODS: dict[str, tuple[str, dict[str, object]]] = {
    "gradcam": ("gradcam", {}),
    "hirescam": ("hirescam", {}),
    "layercam": ("layercam", {}),
    "input_gradient": ("input_gradient", {}),
    "naflow, released": ("naflow", {"mode": "released"}),
    "naflow, inverse": ("naflow", {}),
}


def train_step(model: nn.Module, images: Tensor) -> None:
    model.requires_grad_(True)
    model(images).amax(dim=1).sum().backward()
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


def methods(arguments: argparse.Namespace) -> None:
    torch.manual_seed(0)
    model = timm.create_model(arguments.model).eval().requires_grad_(False).to(arguments.device)
    images = torch.randn(arguments.batch, 3, arguments.size, arguments.size)
    images = images.to(arguments.device)
    times: dict[str, list[float]] = {}
    flows = {name: create_flow(key, model, **options) for name, (key, options) in METHODS.items()}
    for turn in range(arguments.rounds + 1):
        taken = {"forward and backward": seconds(lambda: train_step(model, images), "cpu")}
        for name, flow in flows.items():
            with flow:
                taken[name] = seconds(lambda flow=flow: flow(images), arguments.device)
        if turn:  # the first one warms up, and checks the tape
            for name, value in taken.items():
                times.setdefault(name, []).append(value)
    plain = statistics.median(times["forward and backward"])
    print(
        f"{arguments.model}, {arguments.size} px, batch {arguments.batch}, {arguments.device}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print(f"{'':22} {'images/s':>10} {'of plain time':>14}")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:22} {arguments.batch / median:10.2f} {median / plain:13.2f}x")


def dense(arguments: argparse.Namespace) -> None:
    torch.manual_seed(0)
    side, channels = arguments.dense, arguments.channels
    conv = nn.Conv2d(channels, 2 * channels, 3, padding=1).requires_grad_(False)
    x = torch.randn(1, channels, side, side)
    y = conv(torch.randn_like(x))

    def free() -> Tensor:
        linear = linearise(lambda value: (conv(value),), x, affine=True)
        wanted = y.flatten(1) - linear.offset
        return lsmr(linear.forward, linear.adjoint, wanted, iterations=300, tolerance=1e-4).x

    def written_out() -> Tensor:
        jacobian = torch.func.jacrev(conv)(x).reshape(y.numel(), x.numel())
        bias = conv(torch.zeros_like(x))
        return torch.linalg.lstsq(jacobian, (y - bias).reshape(-1, 1), driver="gels").solution

    times = {
        name: statistics.median(seconds(run, "cpu") for _ in range(3))
        for name, run in (("matrix-free", free), ("dense", written_out))
    }
    far = (free().flatten() - written_out().flatten()).norm() / written_out().norm()
    print(f"convolution {channels} → {2 * channels}, {side} px: {x.numel()} unknowns")
    print(f"dense Jacobian {4 * x.numel() * y.numel() / 2**20:.0f} MiB, {times['dense']:.2f} s")
    print(f"matrix-free {times['matrix-free']:.3f} s, {times['dense'] / times['matrix-free']:.0f}x")
    print(f"relative distance of the solutions {far:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mobilenetv2_100")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dense", type=int, default=0)
    parser.add_argument("--channels", type=int, default=16)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.dense:
        dense(arguments)
    else:
        methods(arguments)


if __name__ == "__main__":
    main()

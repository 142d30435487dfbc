"""How fast is NAFlow's inverse of a layer? ``python -m tests.bench.bench_inverse [--side PIXELS]``.

One convolution (``--channels`` in, twice as many out, 3 × 3) is compared with its dense definition:
the Jacobian written out and solved by ``torch.linalg.lstsq``, with the memory that the Jacobian
takes. Not collected by pytest.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipeline.flows.solvers.linearisation import linearise
from pipeline.flows.solvers.lsmr import lsmr


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=18)
    parser.add_argument("--channels", type=int, default=16)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    side, channels = arguments.side, arguments.channels
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
        name: statistics.median(seconds(run) for _ in range(3))
        for name, run in (("matrix-free", free), ("dense", written_out))
    }
    far = (free().flatten() - written_out().flatten()).norm() / written_out().norm()
    print(f"convolution {channels} → {2 * channels}, {side} px: {x.numel()} unknowns")
    print(f"dense Jacobian {4 * x.numel() * y.numel() / 2**20:.0f} MiB, {times['dense']:.2f} s")
    print(f"matrix-free {times['matrix-free']:.3f} s, {times['dense'] / times['matrix-free']:.0f}x")
    print(f"relative distance of the solutions {far:.1e}")


if __name__ == "__main__":
    main()

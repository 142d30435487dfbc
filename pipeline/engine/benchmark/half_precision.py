"""What bfloat16 is worth on this machine: how much faster the step is, and what its ranks keep."""

import statistics
import time
from collections.abc import Callable
from tempfile import TemporaryDirectory

import torch

from pipeline.config import RunConfig
from pipeline.engine.benchmark.computing import Steps, open_steps, rank_correlation
from pipeline.engine.benchmark.result import Precision
from pipeline.engine.planning.sample import Sample
from pipeline.engine.preparation import Prepared

_COMPARED = 16
"""Images whose flows are compared between precisions."""

_FEW = 8
"""Images of a batch where only the ratio is wanted."""

_ROUNDS = 3


def compared(
    steps: Steps, sample: Sample, uri: str, config: RunConfig, threads: int, seconds: float
) -> Precision | None:
    """Compare the float32 steps of a sample with the same in bfloat16, written to ``uri``.

    Both take turns for about ``seconds`` each, three times at least. None if the run computes in
    something else, or its device has no bfloat16.
    """
    if config.flow.precision != "float32" or not _has_bfloat16(steps.context.device):
        return None
    size = config.flow.batch_size
    sample.create(uri, max(size, len(sample)), size, flow={"precision": "bfloat16"})
    before = steps.flows(_COMPARED)
    with open_steps(uri, threads, config, seconds) as other:
        agreement = rank_correlation(before, other.flows(_COMPARED))
        times, spent = _in_turn(steps.taking(), other.taking(), steps.context.device, seconds)
    return Precision("bfloat16", steps.images / spent, agreement, times)


def _in_turn(
    one: Callable[[], object], other: Callable[[], object], device: torch.device, seconds: float
) -> tuple[float, float]:
    """Return how many times as fast the other call is, and the seconds that it takes.

    A ratio of CPU time on a CPU, which other work on the machine does not change.
    """
    on_gpu = device.type == "cuda"

    def timed(call: Callable[[], object]) -> tuple[float, float]:
        begin, used = time.perf_counter(), time.process_time()
        call()
        if on_gpu:
            torch.cuda.synchronize(device)
        wall = time.perf_counter() - begin
        return wall if on_gpu else time.process_time() - used, wall

    end, rounds = time.perf_counter() + 2 * seconds, list[tuple[float, float]]()
    while time.perf_counter() < end or len(rounds) < _ROUNDS:
        (first, _), (second, wall) = timed(one), timed(other)
        rounds.append((first / second, wall))
    times, walls = zip(*rounds[1:], strict=True)  # the first round warms up
    return statistics.median(times), statistics.median(walls)


def try_bfloat16(config: RunConfig, prepared: Prepared, seconds: float) -> Precision | None:
    """Compare both precisions on a few images of a run, in one thread and less than a batch.

    Raises
    ------
    FlowatlasError
        As in a real run.
    """
    chosen = {name: prepared.spec.config["flow"][name] for name in ("method", "precision")}
    chosen["batch_size"] = min(config.flow.batch_size, _FEW)
    config = config.model_copy(update={"flow": config.flow.model_copy(update=chosen)})
    sample = Sample(config, prepared, _COMPARED)
    with TemporaryDirectory(prefix="flowatlas-precision-") as folder:
        size = config.flow.batch_size
        sample.create(f"{folder}/float32", max(size, len(sample)), size)
        with open_steps(f"{folder}/float32", 1, config, seconds) as steps:
            return compared(steps, sample, f"{folder}/bfloat16", config, 1, seconds)


def _has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 by itself, and not by way of float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has: Callable[[], bool] | None = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return has is not None and has()

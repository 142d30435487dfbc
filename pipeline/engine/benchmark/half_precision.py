"""What bfloat16 is worth on this machine: how much faster the step is, and what its ranks keep."""

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


def compared(
    steps: Steps, sample: Sample, uri: str, config: RunConfig, threads: int, seconds: float
) -> Precision | None:
    """Compare the float32 steps of a sample with the same in bfloat16, written to ``uri``.

    Both take turns for about ``seconds`` each. None if the run computes in something else, or its
    device has no bfloat16.
    """
    if config.flow.precision != "float32" or not _has_bfloat16(steps.context.device):
        return None
    size = config.flow.batch_size
    sample.create(uri, max(size, len(sample)), size, flow={"precision": "bfloat16"})
    before = steps.flows(_COMPARED)
    with open_steps(uri, threads, config, seconds) as other:
        agreement = rank_correlation(before, other.flows(_COMPARED))
        both = {"float32": steps.computed, "bfloat16": other.computed}
        rates = other.timer.rates(both, other.images)
    times = rates["bfloat16"] / rates["float32"]
    return Precision("bfloat16", rates["bfloat16"], agreement, times)


def try_bfloat16(config: RunConfig, prepared: Prepared, seconds: float) -> Precision | None:
    """Compare both precisions on a few images of a run, in one thread and less than a batch.

    Raises
    ------
    FlowatlasError
        As in a real run.
    """
    chosen = {name: prepared.spec.config["flow"][name] for name in ("method", "precision")}
    chosen["batch_size"] = min(config.flow.batch_size, _COMPARED)
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

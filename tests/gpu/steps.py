"""A worker's own steps: as a graph and call by call, is it the same, and how fast is it?

For every method and model a real run is opened as its worker opens it, and batches of random pixels
go through its steps, some of whose images could not be read. What is timed are batches that follow
one another, the results of one taken while the next is computed, as a worker does it.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pipeline.engine.batch import NO_BOXES, LoadedBatch, LoadedImage, indexed_images
from pipeline.engine.compute import ComputedBatch
from pipeline.engine.context import Context, open_context, round_weights
from pipeline.engine.preparation import prepare
from pipeline.engine.step.step import Step
from pipeline.engine.usage.clock import Clock
from pipeline.errors import UnsupportedModel
from pipeline.images import Reason
from pipeline.store import create_run, open_store
from tests.engine.step.recorded import RecordedGraphs
from tests.gpu.runs import configured

TOLERANCE = 1e-3
"""Largest difference of a graph's maps and measures from those of its calls, of the largest one."""

_SMALL = "vit_tiny_patch16_224"
_CASES = (
    *((_SMALL, method, 64) for method in ("daam", "relevance", "activation", "gradcam")),
    *(("vit_small_patch16_224", "daam", size) for size in (64, 256)),
    ("vit_base_patch16_224", "daam", 256),
    ("resnet50", "gradcam", 64),
)
_BATCHES = 6


class _ByCalls:
    def capture(self, call: Any) -> Any:
        raise RuntimeError("not asked for")


@dataclass(frozen=True)
class Timed:
    """Results of the batches, the seconds of each after the first, and how steps were taken."""

    results: Sequence[ComputedBatch]
    seconds: float
    how: str


def batches_of(context: Context, count: int) -> list[LoadedBatch]:
    """Return batches with random pixels; in all but the first some images could not be read."""
    run, rng = context.run, np.random.default_rng(0)
    size, shape = run.config.flow.batch_size, context.run.spec.input["size"]
    rows = indexed_images(run.index_rows(0, size), run.box_rows(0, size))
    found = []
    for number in range(count):
        pixels = rng.integers(0, 256, (size, 3, *shape), dtype=np.uint8)
        images = []
        for place, row in enumerate(rows):
            if number and place % 5 == number % 5:
                pixels[place] = 0
                images.append(LoadedImage(row, None, NO_BOXES, Reason.CORRUPT, None, None))
            else:
                images.append(LoadedImage(row, pixels[place], NO_BOXES, None, *shape))
        found.append(LoadedBatch(images, pixels))
    return found


def taken(step: Step, batches: Sequence[LoadedBatch], seconds: float) -> Timed:
    """Return what steps give, each result taken when the next batch has begun."""
    clock, results = Clock(), []
    before = step.begin(batches[0], clock)
    for batch in batches[1:]:
        after = step.begin(batch, clock)
        results.append(before.result())
        before = after
    results.append(before.result())
    begin, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - begin) < seconds or not done:
        after = step.begin(batches[done % len(batches)], Clock())
        if done:
            before.result()
        before, done = after, done + 1
    before.result()
    spent = time.perf_counter() - begin
    how = "graph" if clock.seconds.get("replay") else "calls"
    return Timed(results, spent / done, how)


def difference(found: Sequence[ComputedBatch], wanted: Sequence[ComputedBatch]) -> float:
    """Return the largest difference of maps and measures, each of its own largest value.

    Infinite where reasons, predictions or what is undefined differ.
    """
    worst = 0.0
    for one, other in zip(found, wanted, strict=True):
        if one.reasons != other.reasons:
            return np.inf
        pairs = [(one.maps, other.maps)]
        pairs += [(one.values[name], values) for name, values in other.values.items()]
        for mine, its in pairs:
            a, b = (np.asarray(array, np.float64) for array in (mine, its))
            if not np.array_equal(np.isfinite(a), np.isfinite(b)):
                return np.inf
            known = np.isfinite(b)
            largest = max(float(np.abs(b[known]).max(initial=0)), 1e-12)
            worst = max(worst, float(np.abs(a[known] - b[known]).max(initial=0)) / largest)
    return worst


@contextmanager
def opened(name: str, method: str, batch: int, quick: bool, device: str) -> Iterator[Context]:
    """Open a run as its worker does."""
    with configured(name, quick, device, rows=batch) as config:
        flow = config.flow.model_copy(update={"method": method, "batch_size": batch})
        config = config.model_copy(update={"flow": flow})
        prepared = prepare(config)
        create_run(open_store(config.run, create=True), prepared.spec, prepared.parts)
        with open_context(config.run, threads=1, heads=True) as context:
            round_weights(context)
            yield context


def table(device: str, quick: bool) -> list[str]:
    """Return a row for every method and model; RuntimeError if a graph gives something else."""
    logging.getLogger("pipeline").setLevel(logging.INFO)
    lines = [
        "Batches that follow one another; weights are float32 with autocast to bfloat16 on a GPU, "
        "rounded once where that changes nothing. The difference is of maps and measures.",
        "",
        "| method, model, batch | weights | steps by | images/s | call by call | ratio | "
        "difference | GiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    wrong = []
    cases = [(_SMALL, "daam", 4), (_SMALL, "attention", 4)] if quick else list(_CASES)
    for name, method, batch in cases:
        title = f"{method}, {name}, {batch}"
        try:
            with opened(name, method, batch, quick, device) as context:
                row, worst = _row(title, context, quick)
        except UnsupportedModel:
            continue
        lines.append(row)
        if not worst <= TOLERANCE:
            wrong.append(title)
        if device == "cuda":
            torch.cuda.empty_cache()
    if wrong:
        raise RuntimeError("\n".join([f"graphs give something else: {', '.join(wrong)}", *lines]))
    return lines


def _row(title: str, context: Context, quick: bool) -> tuple[str, float]:
    batches, seconds = batches_of(context, _BATCHES), 0.05 if quick else 1.0
    on_gpu = context.device.type == "cuda"
    calls = taken(Step(context, _ByCalls()), batches, seconds)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    # A CPU's stand-in for a graph is slow, but goes the same way.
    graph = taken(Step(context, None if on_gpu else RecordedGraphs()), batches, seconds)
    peak = torch.cuda.max_memory_reserved() / 2**30 if on_gpu else 0.0
    worst = difference(graph.results, calls.results)
    size = len(batches[0])
    halves = (torch.bfloat16, torch.float16)
    rounded = any(weight.dtype in halves for weight in context.model.parameters())
    return (
        f"| {title} | {'rounded once' if rounded else 'float32'} | {graph.how} | "
        f"{size / graph.seconds:,.0f} | {size / calls.seconds:,.0f} | "
        f"{calls.seconds / graph.seconds:.2f} | {worst:.1e} | {peak:.1f} |"
    ), worst

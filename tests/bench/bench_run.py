"""A run beside its own computing alone (``python -m tests.bench.bench_run CONFIG``).

All sides use as many processes, with as many threads each, as the configuration's actors, and the
run's batch size. *Computing alone* is flow and measures of the very run on random pixels: no
reading, no decoding, no storing. *Plain training* is forward and backward into all parameters.
"""

import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pyarrow.compute as pc
import torch

from pipeline.config import RunConfig, load_config
from pipeline.engine import Pace, run_flows
from pipeline.engine.batch import IndexedImage, LoadedImage
from pipeline.engine.context import open_context
from pipeline.engine.step.micro_batches import MicroBatches
from pipeline.engine.usage.clock import Clock
from pipeline.models import load_model
from pipeline.store import Receipt, open_run

_SECONDS = 20.0

_LANE = ("wait", "store", "compute", "measure")
"""Stages that follow one another in an actor; reading and committing are beside them."""


def plain(config: RunConfig, threads: int) -> float:
    """Return images per second of forward and backward into all parameters, in this process."""
    torch.set_num_threads(threads)
    loaded = load_model(config.model.name, config.model.weights, config.model.options)
    model = loaded.model.requires_grad_(True)
    size = config.model.input.size or loaded.input["size"]
    images = torch.randn(config.flow.batch_size, 3, *size)

    def step() -> None:
        model.zero_grad()
        model(images).max(1).values.sum().backward()

    return _rate(step, len(images))


def alone(config: RunConfig, threads: int) -> float:
    """Return images per second of the run's flow and measures, in this process."""
    with open_context(config.run, threads=threads) as context:
        rng, size = np.random.default_rng(0), context.run.spec.input["size"]
        box = np.array([[0.2, 0.2, 0.7, 0.8]], np.float32)
        batch = [
            LoadedImage(
                IndexedImage(row, "", None, None, 0, box),
                rng.integers(0, 256, (3, *size), dtype=np.uint8),
                box,
                None,
                *size,
            )
            for row in range(config.flow.batch_size)
        ]
        step = MicroBatches(context)
        return _rate(lambda: step.compute(batch, Clock()), len(batch))


def _rate(step: Callable[[], object], images: int) -> float:
    """Return images per second of a step that is repeated; the first time warms up."""
    step()
    steps, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < _SECONDS:
        step()
        steps += 1
    return steps * images / (time.perf_counter() - begin)


def main() -> None:
    """Print the rates, their ratios, and bytes per image on disk."""
    config = load_config(sys.argv[1])
    actors, threads = int(config.cluster.actors), int(config.cluster.cpus_per_actor)
    receipts: list[Receipt] = []
    pace = Pace(threads)
    begin = time.perf_counter()
    totals = run_flows(config, on_receipt=receipts.append)
    wall = time.perf_counter() - begin
    for receipt in receipts:
        pace.add(receipt)
    stages = sorted({stage for receipt in receipts for stage in receipt.seconds})
    told = {
        stage: round(sum(receipt.seconds.get(stage, 0) for receipt in receipts) / actors, 2)
        for stage in stages
    }
    with ProcessPoolExecutor(actors, multiprocessing.get_context("spawn")) as processes:
        computing = sum(processes.map(alone, [config] * actors, [threads] * actors))
        training = sum(processes.map(plain, [config] * actors, [threads] * actors))
    rows = sum(receipt.hi - receipt.lo for receipt in receipts)
    objects = [item for receipt in receipts for item in receipt.objects]
    maps = sum(item.size for item in objects if "flows.zarr" in item.path)
    print(f"{totals.ok} ok, {totals.quarantined} quarantined, {wall:.1f} s with start and index")
    print(f"seconds per actor: {told}; {pace.sentence}")
    print(f"computing alone {computing:.1f} images/s, plain training {training:.1f}")
    lanes = rows / sum(told.get(stage, 0) for stage in _LANE)
    for what, rate in {"actors at work": lanes, "with index, start, all": rows / wall}.items():
        print(
            f"{what}: {rate:.1f} images/s, {rate / computing:.2f} of computing alone, "
            f"{rate / training:.2f} of plain training"
        )
    print(
        f"bytes per image: maps {maps / rows:.0f}, "
        f"summary {sum(item.size for item in objects) / rows - maps / rows:.0f}"
    )
    table = open_run(config.run).summary().to_table()
    shown = ["correct", "box_energy_flow", "box_area", "box_lift_flow", "box_hit_flow"]
    for name in shown:
        if name in table.column_names:
            print(f"mean {name} {pc.mean(table[name]).as_py():.4f}")


if __name__ == "__main__":
    main()

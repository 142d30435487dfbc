"""A run beside plain forward+backward of its model (``python -m tests.bench.bench_run CONFIG``).

Both sides use as many processes, with as many threads each, as the configuration's actors. The
plain side trains on random inputs of the run's batch size: no reading, no decoding, no maps, no
measures, no storing.
"""

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import pyarrow.compute as pc
import torch

from pipeline.config import RunConfig, load_config
from pipeline.engine import run_flows
from pipeline.models import load_model
from pipeline.store import Receipt, open_run

_SECONDS = 20.0


def plain(config: RunConfig, threads: int) -> float:
    """Return images per second of forward and backward into all parameters, in this process."""
    torch.set_num_threads(threads)
    loaded = load_model(config.model.name, config.model.weights, config.model.options)
    model = loaded.model.requires_grad_(True)
    images = torch.randn(
        config.flow.batch_size, 3, *(config.model.input.size or loaded.input["size"])
    )
    images_done, begin = -config.flow.batch_size, 0.0
    while images_done <= 0 or time.perf_counter() - begin < _SECONDS:
        model.zero_grad()
        model(images).max(1).values.sum().backward()
        images_done += config.flow.batch_size
        if not images_done:  # the first batch warms up
            begin = time.perf_counter()
    return images_done / (time.perf_counter() - begin)


def main() -> None:
    """Print the rates, their ratio, and bytes per image on disk."""
    config = load_config(sys.argv[1])
    actors, threads = int(config.cluster.actors), int(config.cluster.cpus_per_actor)
    receipts: list[Receipt] = []
    begin = time.perf_counter()
    totals = run_flows(config, on_receipt=receipts.append)
    wall = time.perf_counter() - begin
    busy = sum(sum(receipt.seconds.values()) for receipt in receipts) / actors
    with ProcessPoolExecutor(actors, multiprocessing.get_context("spawn")) as processes:
        rate = sum(processes.map(plain, [config] * actors, [threads] * actors))
    rows = sum(receipt.hi - receipt.lo for receipt in receipts)
    stages = {k for receipt in receipts for k in receipt.seconds}
    told = {k: sum(receipt.seconds.get(k, 0) for receipt in receipts) / actors for k in stages}
    objects = [item for receipt in receipts for item in receipt.objects]
    maps = sum(item.size for item in objects if "flows.zarr" in item.path)
    print(f"{totals.ok} ok, {totals.quarantined} quarantined, {wall:.1f} s with start and index")
    print(f"plain forward+backward {rate:.1f} images/s; seconds per actor: {told}")
    print(f"read to measure, without commit and start: {rows / busy:.1f}, {rows / busy / rate:.2f}")
    print(f"everything, with index, start and commit: {rows / wall:.1f}, {rows / wall / rate:.2f}")
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

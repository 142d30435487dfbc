"""A plan beside what the run then takes (``python -m tests.bench.bench_plan CONFIG [ROWS]``).

Measures a sample of ROWS images (256 if not given), runs the configuration into an empty folder,
and prints planned and real bytes, memory of a worker, and seconds from the workers' start on.
"""

import sys
import time
from tempfile import TemporaryDirectory

from pipeline.config import load_config
from pipeline.engine import Started, measure_sample, plan_run, prepare, run_flows
from pipeline.store import Receipt


def main() -> None:
    """Print a line per quantity, with the ratio of planned to real."""
    config = load_config(sys.argv[1])
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 256
    prepared = prepare(config)
    measured = measure_sample(config, prepared, rows)
    plan = plan_run(
        prepared.spec,
        batch_size=config.flow.batch_size,
        workers=measured.workers,
        measured=measured,
    )
    receipts: list[Receipt] = []
    begin: list[float] = []

    def started(_: Started) -> None:
        begin.append(time.perf_counter())

    with TemporaryDirectory() as folder:
        here = config.model_copy(update={"run": folder})
        run_flows(here, on_start=started, on_receipt=receipts.append)
        seconds = time.perf_counter() - begin[0]
    stored = sum(item.size for receipt in receipts for item in receipt.objects)
    memory = max(receipt.memory for receipt in receipts)
    for what, planned, real in (
        ("bytes", plan.total_bytes, stored),
        ("memory", plan.worker_bytes, memory),
        ("seconds", plan.seconds or 0.0, seconds),
    ):
        print(f"{what:8} planned {planned:15,.1f}  real {real:15,.1f}  {planned / real:.2f}")


if __name__ == "__main__":
    main()

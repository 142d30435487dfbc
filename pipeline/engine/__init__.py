"""From rows to receipts: plan units, compute them on any engine, finish the run."""

from pipeline.engine.planning.bottleneck import Pace
from pipeline.engine.planning.measured import Measured, measure_run, measure_sample
from pipeline.engine.planning.plan import Plan, check_fit, plan_run
from pipeline.engine.prepare import Prepared, prepare
from pipeline.engine.run import Started, run_flows
from pipeline.engine.scheduling.interface import Attempt, Engine, Job, Worker
from pipeline.engine.scheduling.local import LocalEngine
from pipeline.engine.worker import open_flows

__all__ = [
    "Attempt",
    "Engine",
    "Job",
    "LocalEngine",
    "Measured",
    "Pace",
    "Plan",
    "Prepared",
    "Started",
    "Worker",
    "check_fit",
    "measure_run",
    "measure_sample",
    "open_flows",
    "plan_run",
    "prepare",
    "run_flows",
]

"""From rows to receipts: plan units, compute them on any engine, finish the run."""

from pipeline.engine.engine import Engine, Job
from pipeline.engine.local import LocalEngine
from pipeline.engine.plan import Plan, plan_run
from pipeline.engine.run import Prepared, Started, prepare, run_flows
from pipeline.engine.unit import process_unit

__all__ = [
    "Engine",
    "Job",
    "LocalEngine",
    "Plan",
    "Prepared",
    "Started",
    "plan_run",
    "prepare",
    "process_unit",
    "run_flows",
]

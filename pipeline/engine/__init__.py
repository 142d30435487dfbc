"""From rows to receipts: plan units, compute them on any engine, finish the run."""

from typing import TYPE_CHECKING

from pipeline.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from pipeline.engine.planning.bottleneck import Pace
    from pipeline.engine.planning.measured import Measured, measure_run, measure_sample
    from pipeline.engine.planning.plan import Plan, check_fit, plan_run
    from pipeline.engine.preparation import Prepared, prepare
    from pipeline.engine.run import Started, run_flows
    from pipeline.engine.scheduling.failure import Failure
    from pipeline.engine.scheduling.interface import Attempt, Engine, Job, Worker
    from pipeline.engine.scheduling.local import LocalEngine
    from pipeline.engine.scheduling.on_demand import OnDemand
    from pipeline.engine.suggested_labels import SuggestedLabels, suggest_labels
    from pipeline.engine.worker import open_flows
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "planning.bottleneck": ("Pace",),
            "planning.measured": ("Measured", "measure_run", "measure_sample"),
            "planning.plan": ("Plan", "check_fit", "plan_run"),
            "preparation": ("Prepared", "prepare"),
            "run": ("Started", "run_flows"),
            "scheduling.interface": ("Attempt", "Engine", "Job", "Worker"),
            "scheduling.local": ("LocalEngine",),
            "scheduling.on_demand": ("OnDemand",),
            "scheduling.failure": ("Failure",),
            "suggested_labels": ("SuggestedLabels", "suggest_labels"),
            "worker": ("open_flows",),
        },
    )

__all__ = [
    "Attempt",
    "Engine",
    "Failure",
    "Job",
    "LocalEngine",
    "Measured",
    "OnDemand",
    "Pace",
    "Plan",
    "Prepared",
    "Started",
    "SuggestedLabels",
    "Worker",
    "check_fit",
    "measure_run",
    "measure_sample",
    "open_flows",
    "plan_run",
    "prepare",
    "run_flows",
    "suggest_labels",
]

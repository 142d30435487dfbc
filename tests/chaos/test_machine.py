"""A run that is started, stopped at any step, damaged, verified and started again, at random."""

import contextlib
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from pipeline.engine import run_flows
from pipeline.errors import FlowatlasError
from pipeline.store import open_run, open_store, verify
from tests.chaos.damage import DAMAGE, rot
from tests.chaos.trouble import StoreFailed, failing_at
from tests.engine.datasets import small_config
from tests.engine.trees import tree


class Interrupted(BaseException):
    """The driver is asked to stop."""


class RunMachine(RuleBasedStateMachine):
    """Whatever happened, one undisturbed start ends in the very tree of an undisturbed run."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.rotten = False

    @initialize()
    def set_up(self) -> None:
        run_flows(small_config(self.place, "undisturbed"))
        self.expected = tree(self.place / "undisturbed")
        self.config = small_config(self.place)
        self.run = Path(self.config.run)

    @rule(call=st.integers(1, 120))
    def start_and_fail(self, call: int) -> None:
        """The store fails once; a single try at a unit, so that the run ends there."""
        once = self.config.model_copy(
            update={"limits": self.config.limits.model_copy(update={"attempts": 1})}
        )
        with failing_at(call), contextlib.suppress(StoreFailed, FlowatlasError):
            run_flows(once)

    @rule(units=st.integers(1, 5))
    def start_and_interrupt(self, units: int) -> None:
        finished: list[object] = []

        def stop(receipt: object) -> None:
            finished.append(receipt)
            if len(finished) == units:
                raise Interrupted

        with contextlib.suppress(Interrupted):
            run_flows(self.config, on_receipt=stop)
        assert not (self.run / "lock.json").exists()

    @precondition(lambda self: self.run.exists())
    @rule(what=st.sampled_from(DAMAGE), seed=st.integers(0, 99))
    def damage(self, what: Callable[[Path, random.Random], None], seed: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            what(self.run, random.Random(seed))

    @precondition(lambda self: self.run.exists())
    @rule(seed=st.integers(0, 99))
    def rot(self, seed: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            rot(self.run, random.Random(seed))
            self.rotten = True

    @rule()
    def finish(self) -> None:
        if self.rotten:
            verify(open_store(str(self.run)), open_run(str(self.run)).spec, deep=True)
            self.rotten = False
        totals = run_flows(self.config)
        assert (totals.rows, totals.ok, totals.quarantined) == (40, 40, 0)
        assert open_run(str(self.run)).finished
        assert tree(self.run) == self.expected
        run = open_run(str(self.run))
        assert not verify(run.store, run.spec, deep=True).problems

    def teardown(self) -> None:
        if hasattr(self, "config"):
            self.finish()
        shutil.rmtree(self.place)


TestRunMachine = RunMachine.TestCase
TestRunMachine.settings = settings(
    max_examples=10,
    stateful_step_count=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

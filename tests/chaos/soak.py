"""Random faults on a small run, for as long as one likes: ``python -m tests.chaos.soak``.

Every round starts a run afresh, lets one to five faults happen to it (a driver killed at a call of
the store or after some time, a store that fails, an interruption, objects lost, torn, rotten or
replaced) and finishes it undisturbed. What comes out is compared with a run nothing happened to.
"""

import argparse
import contextlib
import multiprocessing
import random
import shutil
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.config import RunConfig
from pipeline.engine import run_flows
from pipeline.errors import FlowatlasError
from pipeline.store import open_run, verify
from tests.chaos.damage import DAMAGE, rot
from tests.chaos.trouble import StoreFailed, dying_at, failing_at
from tests.engine.datasets import small_config
from tests.engine.trees import tree

CALLS = 140
"""About as many calls of the store as the small run takes."""


@dataclass
class Tally:
    """What was done to runs, and what it did to them."""

    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    differing: int = 0

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.faults.most_common())
        return (
            f"{self.rounds} rounds, {self.faults.total()} faults injected ({kinds}); "
            f"rows lost {self.lost}, rows doubled {self.doubled}, bytes differing {self.differing}"
        )


def drive(config: RunConfig, call: int) -> None:
    """Be a driver that is killed at a call of the store (0: by whoever started it)."""
    with dying_at(call):
        run_flows(config)


def kill_at_a_call(config: RunConfig, dice: random.Random) -> bool:
    driver = _processes().Process(target=drive, args=(config, dice.randint(1, CALLS)))
    driver.start()
    driver.join()
    return driver.exitcode != 0


def kill_after_a_while(config: RunConfig, dice: random.Random) -> bool:
    driver = _processes().Process(target=drive, args=(config, 0))
    driver.start()
    driver.join(dice.uniform(0, 0.6))
    driver.kill()
    driver.join()
    return driver.exitcode != 0


def fail_a_call(config: RunConfig, dice: random.Random) -> bool:
    try:
        with failing_at(dice.randint(1, CALLS)):
            run_flows(config)
    except (StoreFailed, FlowatlasError):
        return True
    return False


def interrupt(config: RunConfig, dice: random.Random) -> bool:
    left = dice.randint(1, 5)

    def count(receipt: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        run_flows(config, on_receipt=count)
    return left == 0


def damage(config: RunConfig, dice: random.Random) -> bool:
    return _harm(dice.choice(DAMAGE), config, dice)


def rot_a_bit(config: RunConfig, dice: random.Random) -> bool:
    """Let an object rot, and have it found."""
    if not _harm(rot, config, dice):
        return False
    run = open_run(config.run)
    verify(run.store, run.spec, deep=True)
    return True


FAULTS = (kill_at_a_call, kill_after_a_while, fail_a_call, interrupt, damage, rot_a_bit)


def _harm(what, config: RunConfig, dice: random.Random) -> bool:  # type: ignore[no-untyped-def]
    try:
        what(Path(config.run), dice)
    except FileNotFoundError:
        return False
    return True


def _processes() -> "multiprocessing.context.ForkServerContext":
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.chaos.soak"])
    return processes


def soak(minutes: float, seed: int) -> Tally:
    """Repeat rounds of faults; return what they did."""
    dice, tally = random.Random(seed), Tally()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        wanted = small_config(folder, "undisturbed")
        run_flows(wanted)
        expected, rows = tree(wanted.run), open_run(wanted.run).spec.rows
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            config = small_config(folder, "run")
            for _ in range(dice.randint(1, 5)):
                fault = dice.choice(FAULTS)
                if fault(config, dice):
                    tally.faults[fault.__name__] += 1
            run_flows(config)
            found = open_run(config.run).summary().to_table(["row"])["row"].to_pylist()
            tally.lost += rows - len(set(found))
            tally.doubled += len(found) - len(set(found))
            tally.differing += _differing(tree(config.run), expected)
            tally.rounds += 1
            shutil.rmtree(config.run)
    return tally


def _differing(found: dict[str, bytes], expected: dict[str, bytes]) -> int:
    """Count the bytes in which two trees differ; a missing object differs in all of its own."""
    count = 0
    for path in found.keys() | expected.keys():
        one, other = found.get(path, b""), expected.get(path, b"")
        count += sum(a != b for a, b in zip(one, other, strict=False))
        count += abs(len(one) - len(other))
    return count


def main() -> None:
    """Print the tally; fail if anything was lost."""
    parser = argparse.ArgumentParser(description="Random faults on a small run.")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", "coroutine .* was never awaited")  # those of failed calls
    tally = soak(asked.minutes, asked.seed)
    print(tally)
    raise SystemExit(bool(tally.lost or tally.doubled or tally.differing))


if __name__ == "__main__":
    main()

"""Random faults on a small run, for as long as one likes: ``python -m tests.chaos.soak``.

Every round starts a run afresh, lets one to five faults happen to it (a driver killed at a call of
the store or after some time, a store that fails, an interruption, objects lost, torn, rotten or
replaced) and finishes it undisturbed. What comes out is compared with a run nothing happened to.
With ``--ray`` two actors compute on a Ray cluster of this machine, and are killed at work as well.
With ``--readers`` processes read the images, and they and their fork server are killed, too.
"""

import argparse
import contextlib
import multiprocessing
import random
import shutil
import signal
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from pipeline.config import RunConfig
from pipeline.engine import run_flows
from pipeline.errors import FlowatlasError
from pipeline.store import open_run, verify
from tests.chaos.damage import DAMAGE, rot
from tests.chaos.trouble import StoreFailed, dying_at, failing_at
from tests.engine.datasets import small_config
from tests.engine.trees import tree
from tests.jobs.cluster import ray_cluster

CALLS = 140
"""About as many calls of the store as the small run takes."""

_TRIES = 10
"""So many rounds without a fault, if the time is up, say that there is none to be had."""

LOCAL_SECONDS, RAY_SECONDS = 0.6, 8.0
"""About as long as the small run takes."""


@dataclass
class Tally:
    """What was done to runs, and what it did to them."""

    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    differing: int = 0

    @property
    def passed(self) -> bool:
        """Faults were injected, and nothing came of them."""
        return bool(self.faults.total()) and not (self.lost or self.doubled or self.differing)

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
    local = config.cluster.engine == "local"
    driver.join(dice.uniform(0, LOCAL_SECONDS if local else RAY_SECONDS))
    driver.kill()
    driver.join()
    return driver.exitcode != 0


def kill_an_actor(config: RunConfig, dice: random.Random) -> bool:
    """Kill an actor at some moment of its life; the run must go on without it."""
    driver = _processes().Process(target=drive, args=(config, 0))
    driver.start()
    actors: list[psutil.Process] = []
    while driver.is_alive() and not actors:
        time.sleep(0.05)
        actors = [one for one in psutil.Process().children(recursive=True) if _is_actor(one)]
    driver.join(dice.uniform(0, RAY_SECONDS / 2))
    killed = False
    if actors:
        with contextlib.suppress(psutil.NoSuchProcess):
            dice.choice(actors).kill()
            killed = True
    driver.join()
    if driver.exitcode:
        raise AssertionError("a run ended because an actor was killed")
    return killed


def _is_actor(process: psutil.Process) -> bool:
    try:
        return "_Actor" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def kill_readers(config: RunConfig, dice: random.Random) -> bool:
    """Kill readers, or all of them with their fork server, now and then while a run goes on."""
    driver = _processes().Process(target=drive, args=(config, 0))
    driver.start()
    killed = 0
    while driver.is_alive():
        driver.join(dice.uniform(0, 0.3))
        readers = [one for one in psutil.Process().children(recursive=True) if _is_reader(one)]
        if readers and killed < _MOST_KILLED:
            with contextlib.suppress(psutil.NoSuchProcess):
                dice.choice(readers).send_signal(dice.choice((signal.SIGKILL, signal.SIGTERM)))
                killed += 1
    if driver.exitcode:
        raise AssertionError("a run ended because readers were killed")
    return killed > 0


def _is_reader(process: psutil.Process) -> bool:
    try:
        return "pipeline.engine.reading.child" in process.cmdline()
    except psutil.Error:
        return False


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
RAY_FAULTS = (*FAULTS, kill_an_actor)

_MOST_KILLED = 8
"""In one run: it must get somewhere, too."""


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


def soak(minutes: float, seed: int, address: str | None = None, readers: bool = False) -> Tally:
    """Repeat rounds of faults, on the Ray cluster at ``address`` if one is named."""
    here = {"engine": "local", "cpus_per_actor": 2 if readers else 1}
    on_ray = {"address": address, "actors": 2, "gpus_per_actor": 0, "cpus_per_actor": 1}
    cluster = {**(on_ray if address else here), "readers": "processes" if readers else "auto"}
    faults = RAY_FAULTS if address else FAULTS
    faults += (kill_readers, kill_readers) if readers else ()
    dice, tally = random.Random(seed), Tally()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        wanted = small_config(folder, "undisturbed")
        run_flows(wanted)
        expected, rows = tree(wanted.run), open_run(wanted.run).spec.rows
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end or (not tally.faults and tally.rounds < _TRIES):
            config = small_config(folder, "run", cluster=cluster)
            for _ in range(dice.randint(1, 5)):
                fault = dice.choice(faults)
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
    """Print the tally; fail if anything was lost, or nothing put to the test."""
    parser = argparse.ArgumentParser(description="Random faults on a small run.")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ray", action="store_true", help="on two actors, which are killed too")
    parser.add_argument("--readers", action="store_true", help="processes that read, killed too")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", "coroutine .* was never awaited")  # those of failed calls
    if asked.ray:
        with ray_cluster({"num-cpus": 2}) as cluster:
            tally = soak(asked.minutes, asked.seed, cluster.head, asked.readers)
    else:
        tally = soak(asked.minutes, asked.seed, readers=asked.readers)
    print(tally)
    raise SystemExit(not tally.passed)


if __name__ == "__main__":
    main()

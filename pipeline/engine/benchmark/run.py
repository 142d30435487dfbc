"""``benchmark``: measure what this machine does with a run, part by part and all together."""

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import pipeline
from pipeline.config import ClusterConfig, RunConfig
from pipeline.engine.batch import indexed_images
from pipeline.engine.benchmark.candidates import candidates, powers, recommended
from pipeline.engine.benchmark.committing import commit_rate, scratch
from pipeline.engine.benchmark.computing import (
    Steps,
    matmul_rate,
    open_steps,
    other_batches,
    plain_rates,
)
from pipeline.engine.benchmark.half_precision import compared
from pipeline.engine.benchmark.reading import scaling, stage_rates
from pipeline.engine.benchmark.result import Benchmark, Machine, Precision, Together
from pipeline.engine.planning.measured import measure_workers
from pipeline.engine.planning.plan import plan_run
from pipeline.engine.planning.sample import Sample
from pipeline.engine.preparation import prepare
from pipeline.engine.reading.open import resolved
from pipeline.engine.run import open_engine
from pipeline.engine.scheduling.interface import Engine
from pipeline.nouns import counted
from pipeline.store import open_run

_MOST_IMAGES = 512
"""Different images that are read; more are these again."""

_SHARES = {
    "stages": 0.04,
    "readers": 0.12,
    "steps": 0.16,
    "batches": 0.08,
    "precision": 0.06,
    "commit": 0.03,
    "plain": 0.09,
    "matmul": 0.02,
    "together": 0.4,
}
"""Of the whole time."""

_LATE = 3.0
"""Settings of which a few batches take this many times their share of the time are left out."""

Progress = Callable[[str], None]


def benchmark(
    config: RunConfig, seconds: float, progress: Progress = lambda part: None
) -> Benchmark:
    """Measure a run's parts and settings on this machine, in about ``seconds``.

    Models that are slow and clusters that start take longer. Some images are computed into a place
    beside the run, which is deleted; the run is not touched. ``progress`` is called with what comes
    next.

    Raises
    ------
    FlowatlasError
        As for the run itself, before anything is measured.
    """
    prepared = prepare(config)
    spec = prepared.spec
    chosen = {name: spec.config["flow"][name] for name in ("method", "precision")}
    config = config.model_copy(update={"flow": config.flow.model_copy(update=chosen)})
    sample = Sample(config, prepared, _MOST_IMAGES)
    of = {part: share * seconds for part, share in _SHARES.items()}
    with scratch(config.run) as place, opened(config) as (engine, cluster):
        here = config.model_copy(update={"cluster": cluster})
        bench = _Parts(here, sample, place, of, progress)
        alone = bench.alone(engine.cpus)
        together, notes = bench.together(engine.cpus, alone["step"], alone["reading"])
        bench.plain(alone)
        machine = _machine(engine.cpus)  # while Ray runs, which knows them
    first = together[0]
    batches = bench.batches
    return Benchmark(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine,
        config_hash=spec.config_hash,
        weights_sha256=spec.weights_sha256,
        model=config.model.name,
        method=config.flow.method,
        precision=config.flow.precision,
        batch_size=config.flow.batch_size,
        threads=first.cpus_per_actor,
        alone=alone,
        operations=bench.operations,
        matmul=bench.matmul,
        batches=batches,
        precisions=tuple(bench.precisions),
        readers=tuple(bench.readers),
        together=tuple(together),
        planned_bytes=plan_run(spec, batch_size=config.flow.batch_size).worker_bytes,
        peak_bytes=first.measured.memory,
        gpu_bytes=bench.gpu_bytes,
        recommended=recommended(together, config.cluster.engine, batches, config.flow.batch_size),
        notes=tuple(notes),
    )


@contextmanager
def opened(config: RunConfig) -> Iterator[tuple[Engine, ClusterConfig]]:
    """Open an engine on this machine once; yield it and the settings as numbers.

    Where fewer actors fit than are configured, as many as fit.
    """
    asked = config.cluster
    here = asked.model_copy(update={"address": "local", "actors": "auto"})
    # Its actors would hold the CPUs that those of other settings need.
    with open_engine(config.model_copy(update={"cluster": here}), ahead=False) as engine:
        most, gpus = asked.actors, asked.gpus_per_actor
        update = {
            "actors": engine.workers if most == "auto" else min(engine.workers, most),
            "cpus_per_actor": engine.threads,
            "gpus_per_actor": float(torch.cuda.is_available()) if gpus == "auto" else gpus,
            "readers": resolved(asked.readers),
        }
        yield engine, here.model_copy(update=update)


class _Parts:
    """What is measured of one run, in an order in which nothing disturbs what comes after it.

    The step comes first: behind it this process holds little more than a worker, so that the peak
    memory of a local engine is one.
    """

    def __init__(
        self,
        config: RunConfig,
        sample: Sample,
        place: str,
        seconds: dict[str, float],
        progress: Progress,
    ) -> None:
        self._config, self._sample, self._place = config, sample, place
        self._seconds, self._progress = seconds, progress
        self._threads = int(config.cluster.cpus_per_actor)
        self.operations: dict[str, float] = {}
        self.batches: dict[int, float] = {}
        self.precisions: list[Precision] = []
        self.readers: list[Any] = []
        self.gpu_bytes = 0
        self.matmul = 0.0

    def alone(self, cpus: int) -> dict[str, float]:
        """Return the images per second of reading, computing and committing, each alone."""
        size = self._config.flow.batch_size
        uri = f"{self._place}/steps"
        # A batch's results do not depend on the units' size.
        self._sample.create(uri, max(size, len(self._sample)), size)
        self._progress("computing alone")
        with open_steps(uri, self._threads, self._config, self._seconds["steps"] / 2) as steps:
            found = steps.rates()
            self.gpu_bytes = steps.peak()
            self.operations["compute"] = steps.operations()
            self._progress("committing alone")
            spec = self._sample.spec
            found["commit"] = commit_rate(
                f"{self._place}/commit",
                spec,
                steps.computed(),
                spec.unit_rows,
                self._seconds["commit"],
            )
            self._batches(steps, found["step"])
            self._precision(steps)
        self._progress("reading alone")
        run = open_run(uri)
        count = len(self._sample)
        images = indexed_images(run.index_rows(0, count), run.box_rows(0, count))
        found |= stage_rates(run, images, self._seconds["stages"])
        one = 1 / sum(1 / found[stage] for stage in ("fetch", "decode", "transform"))
        counts, kind = powers(cpus), self._config.cluster.readers
        each = self._seconds["readers"] / len(counts)
        self.readers = scaling(run, images, counts, kind, each, one)
        found["reading"] = self.readers[0].images_per_second
        return found

    def _batches(self, steps: Steps, rate: float) -> None:
        """Try other batch sizes on a GPU, where they matter."""
        size = self._config.flow.batch_size
        self.batches = {size: rate}
        if steps.context.device.type == "cuda":
            self._progress("other batch sizes")
            sizes = [size // 2, size * 2, size * 4] if size > 1 else [size * 2, size * 4]
            self.batches |= other_batches(steps, sizes)

    def _precision(self, steps: Steps) -> None:
        """Try bfloat16 where the processor has it."""
        self._progress("computing in bfloat16")
        uri, seconds = f"{self._place}/bfloat16", self._seconds["precision"] / 2
        found = compared(steps, self._sample, uri, self._config, self._threads, seconds)
        self.precisions += [] if found is None else [found]

    def together(self, cpus: int, step: float, reading: float) -> tuple[list[Together], list[str]]:
        """Return whole runs of some images with different settings, and what was left out.

        ``step`` and ``reading`` are the images per second of an actor and of a reader.
        """
        tried = candidates(self._config.cluster, cpus, torch.cuda.device_count())
        seconds = self._seconds["together"] / len(tried)
        found: list[Together] = []
        notes: list[str] = []
        for number, cluster in enumerate(tried):
            actors, threads = int(cluster.actors), int(cluster.cpus_per_actor)
            guess = min(step * max(1, threads / self._threads), reading * threads)
            batch = self._config.flow.batch_size
            least = 2 * batch * actors
            rows = max(least, round(seconds * guess * actors / batch) * batch)
            shape = f"{counted(actors, 'actor')} of {counted(threads, 'CPU')}"
            if found and least / (guess * actors) > _LATE * max(seconds, 1.0):
                notes.append(f"{shape}: left out, a few batches take too long; raise --seconds")
                continue
            self._progress(f"all together: {shape}")
            config = self._config.model_copy(update={"cluster": cluster})
            measured = measure_workers(
                config, self._sample, rows, f"{self._place}/together{number}"
            )
            gpus = float(cluster.gpus_per_actor)
            found.append(Together(actors, threads, gpus, cluster.readers, measured))
        return found, notes

    def plain(self, alone: dict[str, float]) -> None:
        """Add the plain model and a product of matrices."""
        uri, seconds = f"{self._place}/steps", self._seconds["plain"] / 2
        self._progress("the plain model")
        with open_steps(uri, self._threads, self._config, seconds) as steps:
            inputs, context = steps.inputs(), steps.context
            autocast, timer = context.autocast, steps.timer
        rates, operations = plain_rates(self._config, inputs, autocast, timer)
        alone |= rates
        self.operations |= operations
        self.matmul = matmul_rate(self._config.flow.precision, timer)


def _machine(cpus: int) -> Machine:
    gpus = torch.cuda.device_count()
    return Machine(
        processor=_processor(),
        cpus=cpus,
        gpus=gpus,
        gpu=torch.cuda.get_device_name() if gpus else None,
        versions=f"flowatlas {pipeline.__version__}, torch {torch.__version__}",
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or os.name

"""``Benchmark``: what was measured, as a file beside the configuration."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from pipeline.config import ClusterConfig, RunConfig
from pipeline.engine.planning.measured import Measured
from pipeline.errors import ConfigError
from pipeline.store import RunSpec

SUFFIX = ".benchmark.json"


@dataclass(frozen=True)
class Machine:
    """Where it was measured: ``gpu`` is the name of each of ``gpus``, None without."""

    processor: str
    cpus: int
    gpus: int
    gpu: str | None
    versions: str


@dataclass(frozen=True)
class Together:
    """A whole run of some images: fetch to commit, with these settings of ``cluster``."""

    actors: int
    cpus_per_actor: int
    gpus_per_actor: float
    readers: str
    measured: Measured

    @property
    def images_per_second(self) -> float:
        """Of all actors."""
        return self.measured.images_per_second * self.actors

    def fits(self, cluster: ClusterConfig) -> bool:
        """Whether these are the settings of a configuration, as far as it names any."""
        return all(
            asked in ("auto", had)
            for asked, had in (
                (cluster.cpus_per_actor, self.cpus_per_actor),
                (cluster.gpus_per_actor, self.gpus_per_actor),
                (cluster.readers, self.readers),
            )
        )


@dataclass(frozen=True)
class Readers:
    """How fast ``count`` readers are while nothing else is done."""

    kind: str
    count: int
    images_per_second: float


@dataclass(frozen=True)
class Precision:
    """The same step in another precision.

    ``rank_correlation`` is the lowest of all images tried, between their accumulated flows and
    those of the configured precision; ``times`` how many times as fast the step is.
    """

    precision: str
    images_per_second: float
    rank_correlation: float
    times: float | None = None

    def sentence(self, configured: str) -> str:
        """What it is worth, compared with the configured precision."""
        return (
            f"{self.precision} is {self.times or 1:.2f} × as fast as {configured} here, and the "
            f"flow's rank correlation with it is at least {self.rank_correlation:.4f}"
        )


@dataclass(frozen=True)
class Benchmark:
    """What a machine does with a run.

    Attributes
    ----------
    made : str
        Date and time, ISO 8601, UTC.
    machine : Machine
    config_hash, weights_sha256 : str
        Of the run that was measured.
    model, method, precision, batch_size, threads
        What was computed, with ``threads`` CPU threads wherever no other number is given.
    alone : Mapping[str, float]
        Images per second of one part with nothing beside it: ``fetch``, ``decode``, ``transform``
        (of one reader), ``compute`` (model and method), ``measure`` (all else of a batch),
        ``step`` (both), ``commit``, ``forward`` and ``forward+backward`` (to the image, parameters
        frozen) of the plain model.
    operations : Mapping[str, float]
        Floating-point operations per image of ``forward``, ``forward+backward``, ``compute``.
    matmul : float
        Floating-point operations per second of a large product of matrices in this precision.
    batches : Mapping[int, float]
        Images per second of ``step`` by batch size.
    precisions, readers, together
        See there; ``together`` begins with the configured settings.
    planned_bytes, peak_bytes : int
        Memory of an actor: as planned from the layout, without model and libraries, and its peak
        with the configured settings.
    gpu_bytes : int
        Peak of the GPU's memory during ``step``; 0 without one.
    recommended : Mapping[str, Any]
        Sections of a configuration, by field.
    notes : tuple of str
        What was left out, and why.
    """

    made: str
    machine: Machine
    config_hash: str
    weights_sha256: str
    model: str
    method: str
    precision: str
    batch_size: int
    threads: int
    alone: Mapping[str, float]
    operations: Mapping[str, float]
    matmul: float
    batches: Mapping[int, float]
    precisions: tuple[Precision, ...]
    readers: tuple[Readers, ...]
    together: tuple[Together, ...]
    planned_bytes: int
    peak_bytes: int
    gpu_bytes: int
    recommended: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def share(self, part: str) -> float:
        """Return the share [0, 1] of the matrix product's speed that a part reaches."""
        return self.operations[part] * self.alone[part] / self.matmul

    def of(self, config: RunConfig, spec: RunSpec) -> Together | None:
        """Return what was measured with the settings of a run; None if others were."""
        if (self.config_hash, self.weights_sha256) != (spec.config_hash, spec.weights_sha256):
            return None
        asked = config.cluster.actors
        fitting = [one for one in self.together if one.fits(config.cluster)]
        same = [one for one in fitting if asked in ("auto", one.actors)]
        # With `auto` as many actors start as there is room for.
        return max(same or fitting, key=lambda one: one.actors, default=None)

    def to_json(self) -> str:
        """Return JSON."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of :meth:`to_json`; ValueError, KeyError or TypeError for any other text."""
        content = json.loads(text)
        content["machine"] = Machine(**content["machine"])
        content["batches"] = {int(size): rate for size, rate in content["batches"].items()}
        content["precisions"] = tuple(Precision(**one) for one in content["precisions"])
        content["readers"] = tuple(Readers(**one) for one in content["readers"])
        content["together"] = tuple(
            Together(**{**one, "measured": Measured(**one["measured"])})
            for one in content["together"]
        )
        content["notes"] = tuple(content["notes"])
        return cls(**content)


def place_beside(config: Path) -> Path:
    """Return where the result of the benchmark of a configuration, or of a run, is."""
    named = config.suffix.lower() in (".yaml", ".yml")
    return config.with_suffix(SUFFIX) if named else config.with_name(config.name + SUFFIX)


def load_benchmark(config: Path) -> Benchmark | None:
    """Return the result beside a configuration, None if there is none.

    Raises
    ------
    ConfigError
        The file there is no such result.
    """
    place = place_beside(config)
    try:
        return Benchmark.from_json(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{place} is no result of this version's flowatlas benchmark ({error}); "
            "delete it, or run the benchmark again"
        ) from error

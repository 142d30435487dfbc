"""What a report tells, read from a run: its facts, its classes by risk, its quarantine."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pyarrow.compute as pc

from pipeline.atlas import Atlas
from pipeline.audit.stats.estimates import LEAST_IMAGES
from pipeline.audit.stats.intervals import Rate
from pipeline.images.reasons import explain
from pipeline.report.pages.findings import Finding
from pipeline.store import Run, Status

_CORNERS = ("tl", "tr", "bl", "br")
_VAGUE = {"images", "data", "train", "val", "valid", "validation", "test", "labels", "index"}
_EXAMPLES = 3  # quarantined images named per reason
_CLASSLESS = {"activation", "attention", "rollout"}  # their maps are the same for any class


@dataclass(frozen=True)
class RunFacts:
    """The run in numbers; accuracy is None without labels."""

    dataset: str
    model: str
    method: str
    target: str
    explained: str | None
    """What every flow explains, in words; None of a method whose maps explain no class."""
    images: int
    quarantined: int
    accuracy: float | None
    layers: tuple[str, ...]
    grid: tuple[int, int]
    size: tuple[int, int]
    """Height and width of the model's input."""
    provenance: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ClassFacts:
    """A class in numbers; NaN where a statistic is undefined."""

    id: int
    position: int
    """In the atlas."""
    name: str
    images: int
    no_mass: int
    """Images whose maps are zero: they count, but have no mean map."""
    accuracy: float
    accuracy_low: float
    """Ends of its 95 % interval (Wilson), which is wide for few images."""
    accuracy_high: float
    at_best: float
    """Upper end of an interval that holds for all classes together: Wilson's at 1 - 0.05 / K."""
    mass: float
    """Median of the accumulated raw mass."""
    corner: float
    """Mean lift of the corner with the most mass; 1 = uniform."""
    depth: float
    """Mean convergence depth, in layers."""
    axis: float
    """Share of the variance of its flows that is along their first principal axis."""
    bimodality: float
    """Sarle's coefficient of the places of its images on that axis; of few images it is high
    whatever they are."""
    findings: int

    @property
    def few(self) -> bool:
        """Whether too few images have a flow to speak of typical ones, or of ways to look."""
        return self.images - self.no_mass < LEAST_IMAGES


@dataclass(frozen=True)
class Quarantine:
    """Images that could not be used for one reason."""

    reason: str
    explanation: str
    images: int
    examples: tuple[str, ...]


def read_facts(run: Run) -> RunFacts:
    """Read the facts of a run."""
    spec, config = run.spec, run.config
    labelled = correct = used = quarantined = 0
    for batch in run.summary().to_batches(columns=["status", "correct"]):
        status, hit = batch.column("status"), batch.column("correct")
        quarantined += pc.sum(pc.equal(status, Status.QUARANTINED)).as_py() or 0
        used += pc.sum(pc.equal(status, Status.OK)).as_py() or 0
        labelled += len(hit) - hit.null_count
        correct += pc.sum(hit).as_py() or 0
    height, width = spec.input["size"]
    return RunFacts(
        dataset=dataset_name(config.dataset.source),
        model=config.model.name,
        method=config.flow.method,
        target=str(config.flow.target),
        explained=_explained(config.flow.method, config.flow.target, spec.classes),
        images=used,
        quarantined=quarantined,
        accuracy=correct / labelled if labelled else None,
        layers=spec.layers,
        grid=spec.grid,
        size=(int(height), int(width)),
        provenance=(
            ("Dataset", config.dataset.source),
            ("Dataset fingerprint", spec.fingerprint),
            ("Model", config.model.name),
            ("Weights (SHA-256)", spec.weights_sha256),
            ("Method", f"{config.flow.method}, target {config.flow.target}"),
            (
                "Stored as",
                f"{config.flow.store}, {len(spec.layers)} layers × "
                f"{spec.grid[0]} × {spec.grid[1]} cells",
            ),
            ("Configuration", spec.config_hash),
            ("Code", spec.code_version),
        ),
    )


def _explained(method: str, target: str | int, names: Sequence[str]) -> str | None:
    """Say what the flows of a run explain; of ``both``, those that its atlas and report show."""
    if method in _CLASSLESS:
        return None
    if target in ("predicted", "both"):
        return "the class the model predicted"
    if target == "label":
        return "the label of each image"
    named = names[target] if isinstance(target, int) and 0 <= target < len(names) else target
    return f"the class {named}, whatever the image"


def dataset_name(source: str) -> str:
    """Return a short name: the last part of a source that says what is in it."""
    parts = [part for part in source.split("/") if part.strip(".:")]
    telling = [part for part in parts if PurePosixPath(part).stem.lower() not in _VAGUE]
    return PurePosixPath((telling or parts or [source])[-1]).stem or source


def rank_classes(atlas: Atlas, findings: Sequence[Finding]) -> tuple[ClassFacts, ...]:
    """Return the classes that have images, the riskiest first.

    Risk is an order, not a number: the class of the gravest finding comes first; classes
    without findings follow, those first whose accuracy is low for sure (``at_best``): two wrong
    images of two prove little where many classes are compared. Ties go by class id.
    """
    facts = _class_facts(atlas, Counter(finding.class_id for finding in findings))
    gravest: dict[int | None, int] = {}
    for finding in findings:
        gravest.setdefault(finding.class_id, finding.rank)

    def risk(fact: ClassFacts) -> tuple[float, float, int]:
        return gravest.get(fact.id, np.inf), fact.at_best, fact.id

    return tuple(sorted(facts, key=risk))


def _class_facts(atlas: Atlas, findings: Counter[int | None]) -> list[ClassFacts]:
    ids, count, no_mass, accuracy = atlas.classes, atlas.count, atlas.n_zero, atlas.accuracy
    labelled, level = atlas.n_labelled, 1 - 0.05 / max(int(np.count_nonzero(count)), 1)
    corner = np.max([atlas.column_mean(f"corner_{place}_flow") for place in _CORNERS], axis=0)
    mass = atlas.quantile("mass_flow", 0.5)
    depth = atlas.column_mean("convergence_depth")
    return [
        ClassFacts(
            id=int(ids[position]),
            position=int(position),
            name=atlas.names[position],
            images=int(count[position]),
            no_mass=int(no_mass[position]),
            accuracy=float(accuracy[position]),
            accuracy_low=_ends(accuracy[position], labelled[position], 0.95)[0],
            accuracy_high=_ends(accuracy[position], labelled[position], 0.95)[1],
            at_best=_ends(accuracy[position], labelled[position], level)[1],
            mass=float(mass[position]),
            corner=float(corner[position]),
            depth=float(depth[position]),
            axis=float(atlas.axis_explained[position, 0]),
            bimodality=float(atlas.bimodality[position]),
            findings=findings[int(ids[position])],
        )
        for position in np.flatnonzero(count)
    ]


def _ends(accuracy: float, labelled: int, level: float) -> tuple[float, float]:
    right = round(accuracy * labelled) if labelled else 0
    return Rate(int(right), int(labelled), level).interval


def read_quarantine(run: Run) -> tuple[Quarantine, ...]:
    """Return the quarantined images by reason, the most frequent first."""
    unusable = run.summary().to_table(
        columns=["row", "reason"], filter=pc.field("status") == int(Status.QUARANTINED)
    )
    rows: dict[str, list[int]] = {}
    for row, reason in zip(*(unusable.column(i).to_pylist() for i in (0, 1)), strict=True):
        rows.setdefault(reason, []).append(row)
    examples = {reason: sorted(found)[:_EXAMPLES] for reason, found in rows.items()}
    named = run.index_take(row for some in examples.values() for row in some)
    uris = dict(zip(named["row"].to_pylist(), named["uri"].to_pylist(), strict=True))
    return tuple(
        Quarantine(
            reason=reason,
            explanation=explain(reason),
            images=len(found),
            examples=tuple(uris[row] for row in examples[reason]),
        )
        for reason, found in sorted(rows.items(), key=lambda item: (-len(item[1]), item[0]))
    )

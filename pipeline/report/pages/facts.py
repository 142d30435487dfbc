"""The facts of a run: what was explained of which images by which model and method."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow.compute as pc

from pipeline.audit.multi_label.images import first_rows
from pipeline.config import FlowConfig
from pipeline.nouns import counted
from pipeline.store import Run, Status

_VAGUE = {"images", "data", "train", "val", "valid", "validation", "test", "labels", "index"}
_CLASSLESS = {"activation", "attention", "rollout"}  # their maps are the same for any class


@dataclass(frozen=True)
class RunFacts:
    """The run in numbers; accuracy is None without labels, or with several per image.

    ``rows`` are those that were not quarantined, ``labels`` the labels of all images and
    ``threshold`` the score from which an output is predicted: None where a row is an image.
    """

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
    rows: int
    labels: int | None = None
    threshold: float | None = None


def read_facts(run: Run) -> RunFacts:
    """Read the facts of a run."""
    spec, config = run.spec, run.config
    labelled = correct = rows = quarantined = 0
    for batch in run.summary().to_batches(columns=["status", "correct"]):
        status, hit = batch.column("status"), batch.column("correct")
        quarantined += pc.sum(pc.equal(status, Status.QUARANTINED)).as_py() or 0
        rows += pc.sum(pc.equal(status, Status.OK)).as_py() or 0
        labelled += len(hit) - hit.null_count
        correct += pc.sum(hit).as_py() or 0
    used, labels = rows, None
    if spec.multi_label:
        table = first_rows(
            run.summary().to_table(columns=["row", "image", "status"]).sort_by("row")
        )
        used = pc.sum(pc.equal(table["status"], Status.OK)).as_py() or 0
        quarantined, labelled = len(table) - used, 0
        own = run.index_take(table["row"].to_pylist())["labels"]
        labels = pc.sum(pc.list_value_length(own)).as_py() or 0
    height, width = spec.input["size"]
    return RunFacts(
        dataset=dataset_name(config.dataset.source),
        model=config.model.name,
        method=config.flow.method,
        target=str(config.flow.target),
        explained=_explained(config.flow, spec.classes, spec.multi_label),
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
                f"{config.flow.store}, {counted(len(spec.layers), 'layer')} × "
                f"{spec.grid[0]} × {spec.grid[1]} cells",
            ),
            ("Configuration", spec.config_hash),
            ("Code", spec.code_version),
        ),
        rows=rows,
        labels=labels,
        threshold=config.model.threshold if spec.multi_label else None,
    )


def _explained(flow: FlowConfig, names: Sequence[str], multi_label: bool = False) -> str | None:
    """Return what the flows of a run explain; of ``both``, those that its atlas and report show."""
    target = flow.target
    if flow.method in _CLASSLESS:
        return None
    if multi_label and target == "predicted":
        return f"each label that the model predicts, at most {flow.max_outputs} of an image"
    if multi_label and target == "label":
        return "each label of an image"
    if target in ("predicted", "both"):
        return "the class the model predicted"
    if target == "label":
        return "the label of each image"
    named = names[target] if isinstance(target, int) and 0 <= target < len(names) else target
    return f"the class {named}, whatever the image"


def dataset_name(source: str) -> str:
    """Return a short name: the last part of a source that is no word such as ``images``."""
    parts = [part for part in source.split("/") if part.strip(".:")]
    specific = [part for part in parts if PurePosixPath(part).stem.lower() not in _VAGUE]
    return PurePosixPath((specific or parts or [source])[-1]).stem or source

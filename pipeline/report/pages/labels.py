"""The labels of images with several, in numbers, and the words for right and wrong there."""

from dataclasses import dataclass

from pipeline.audit.multi_label.scores import LABELS, TOGETHER
from pipeline.audit.stats.intervals import Rate
from pipeline.store import Run

_COMPANY = 3


@dataclass(frozen=True)
class Companion:
    """Another label: shares of the images with the label that have it, and are predicted so."""

    name: str
    labelled: float
    predicted: float


@dataclass(frozen=True)
class LabelLine:
    """How a label is predicted; None of a score that is not defined."""

    id: int
    name: str
    images: int
    labelled: int
    predicted: int
    precision: float | None
    recall: float | None
    average_precision: float | None
    auroc: float | None
    company: tuple[Companion, ...]
    """The labels and predictions that most often come with it."""


@dataclass(frozen=True)
class Words:
    """What is said of rows that are right or wrong."""

    right: str
    wrong: str
    title: str
    wrong_title: str


ONE_ANSWER = Words("right", "wrong", "Right versus wrong", "Wrong")
OF_LABELS = Words("found", "missed", "Found versus missed", "Missed")
OF_PREDICTIONS = Words("with the label", "without the label", "With or without the label",
                       "Predicted without the label")  # fmt: skip


def words_of(run: Run, table: str) -> Words:
    """Return the words for the classes of a table of a run."""
    if not run.spec.multi_label:
        return ONE_ANSWER
    return OF_LABELS if table == "label" else OF_PREDICTIONS


def rate_word(run: Run, table: str) -> str:
    """Return what the share of right answers of the classes of a table is called."""
    if not run.spec.multi_label:
        return "accuracy"
    return "recall" if table == "label" else "precision"


def read_rates(run: Run, table: str) -> dict[int, Rate] | None:
    """Return that share of every class, of all images; None where the atlas has it."""
    if not run.exists(LABELS) or not run.spec.multi_label:
        return None
    of = "labelled" if table == "label" else "predicted"
    lines = run.table(LABELS).to_pylist()
    return {line["class"]: Rate(line["both"], line[of]) for line in lines}


def read_labels(run: Run) -> tuple[LabelLine, ...]:
    """Return the labels of a run with several per image, the lowest average precision first."""
    if not run.exists(LABELS):
        return ()
    company: dict[int, list[Companion]] = {}
    for line in run.table(TOGETHER).to_pylist():
        if line["other"] != line["label"] and line["images"]:
            shares = (line["labelled"] / line["images"], line["predicted"] / line["images"])
            company.setdefault(line["label"], []).append(Companion(line["other_name"], *shares))
    for others in company.values():
        others.sort(key=lambda other: (-max(other.labelled, other.predicted), other.name))
    lines = [
        LabelLine(
            id=line["class"],
            name=line["class_name"],
            company=tuple(company.get(line["class"], ())[:_COMPANY]),
            **{name: line[name] for name in _NUMBERS},
        )
        for line in run.table(LABELS).to_pylist()
    ]
    return tuple(sorted(lines, key=lambda line: (line.average_precision or 0, line.id)))


_NUMBERS = (
    "images",
    "labelled",
    "predicted",
    "precision",
    "recall",
    "average_precision",
    "auroc",
)

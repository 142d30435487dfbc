"""``probe``: a suspicion of the user's own. Which classes gain or lose images that are changed?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.stats import binomtest
from torch import Tensor

from pipeline.audit.causal.predictions import load_rows, predict
from pipeline.audit.multi_label.images import first_rows
from pipeline.audit.stats.contrast import benjamini_hochberg
from pipeline.audit.text.numbers import percent
from pipeline.audit.text.quoting import quote
from pipeline.engine.context import Context
from pipeline.errors import ConfigError, FlowatlasError
from pipeline.nouns import counted
from pipeline.store import Run, Status

LARGEST_Q = 0.05
"""False discovery rate up to which a class is said to gain or to lose."""

PROBE_SCHEMA = pa.schema(
    [
        pa.field("class", pa.int32(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("others", pa.int64(), nullable=False),
        pa.field("gained", pa.int64(), nullable=False),
        *(pa.field(f"gained_{end}", pa.float64(), nullable=False) for end in ("low", "high")),
        pa.field("own", pa.int64(), nullable=False),
        pa.field("lost", pa.int64(), nullable=False),
        *(pa.field(f"lost_{end}", pa.float64(), nullable=False) for end in ("low", "high")),
        pa.field("q_gain", pa.float64(), nullable=False),
        pa.field("q_loss", pa.float64(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),
    ]
)
"""``gained`` of ``others`` images that were not of the class became it; ``lost`` of its ``own``
stopped being it, with exact 95 % intervals (Clopper & Pearson, 1934). ``q_gain`` and ``q_loss``
correct the exact sign test of those that came against those that left (McNemar, 1947) for all
classes and both directions (Benjamini & Hochberg, 1995). ``verdict``: gains, loses, unclear."""


@dataclass(frozen=True)
class Probe:
    """What a change did: the class of every image before and after it, (n,).

    Where images have several labels, which of the K classes they are predicted as, bool (n, K).
    """

    names: tuple[str, ...]
    """Of all classes."""
    before: NDArray[Any]
    after: NDArray[Any]

    @property
    def images(self) -> int:
        """How many images were changed."""
        return len(self.before)

    @property
    def moved(self) -> int:
        """How many of them have another class now, or another set of classes."""
        differs = self.before != self.after
        return int((differs.any(1) if differs.ndim == 2 else differs).sum())

    def table(self) -> pa.Table:
        """Return a row for every class that an image had or has, those that gain most first."""
        classes = np.union1d(_classes_in(self.before), _classes_in(self.after)).tolist()
        came, left = [], []
        for key in classes:
            was, now = _has(self.before, key), _has(self.after, key)
            came.append(int((now & ~was).sum()))
            left.append(int((was & ~now).sum()))
        pairs = [*zip(came, left, strict=True), *zip(left, came, strict=True)]
        q = benjamini_hochberg(np.array([_sign_test(more, less) for more, less in pairs]))
        gains, losses = np.split(q, 2)
        rows = [self._row(*item) for item in zip(classes, came, left, gains, losses, strict=True)]
        rows.sort(key=lambda row: (row["lost"] - row["gained"], row["class"]))
        return pa.Table.from_pylist(rows, schema=PROBE_SCHEMA)

    def _row(self, key: int, came: int, left: int, gain: float, loss: float) -> dict[str, Any]:
        own = int(_has(self.before, key).sum())
        others = self.images - own
        gained, lost = _exact(came, others), _exact(left, own)
        return {
            "class": key,
            "class_name": self.names[key],
            "others": others,
            "gained": came,
            "gained_low": gained[0],
            "gained_high": gained[1],
            "own": own,
            "lost": left,
            "lost_low": lost[0],
            "lost_high": lost[1],
            "q_gain": gain,
            "q_loss": loss,
            "verdict": "gains"
            if gain <= LARGEST_Q
            else "loses"
            if loss <= LARGEST_Q
            else "unclear",
        }


def probe(change: Callable[[Tensor], Tensor], images: int, context: Context) -> Probe:
    """Change some of a run's images, drawn at random and the same every time, and ask the model.

    ``change`` maps (n, 3, H, W) uint8, as the model gets images, to the same shape.

    Raises
    ------
    ConfigError
        The run compares images with those that a table lists: it has no classes.
    FlowatlasError
        None of its images can be read.
    """
    run = context.run
    references = run.config.flow.references
    if references is not None and references.by == "table":
        raise ConfigError(
            "this run compares every image with those that flow.references.table lists for it, so "
            "a changed image has no class to lose or gain; probe a run whose flow.references.by "
            "is prototypes or neighbours"
        )
    before, after = [], []
    size = run.config.flow.batch_size
    rows = _drawn(run, images)
    for start in range(0, len(rows), size):
        part = load_rows(rows[start : start + size], context)
        if len(part):
            before.append(predict(part, context).numpy())
            after.append(predict(change(part), context).numpy())
    if not before:
        raise FlowatlasError(f"no image of {run.uri} can be read now; check its dataset.source")
    return Probe(tuple(run.spec.classes), np.concatenate(before), np.concatenate(after))


def sentences(found: pa.Table) -> list[str]:
    """Return a sentence for every class that gains or loses."""
    said = []
    for row in found.to_pylist():
        name = quote(row["class_name"])
        if row["verdict"] == "gains":
            rate, of, q = _rate(row, "gained"), row["others"], row["q_gain"]
            said.append(
                f"{rate} of {counted(of, 'image')} of other classes become {name} (q = {q:.2g})."
            )
        elif row["verdict"] == "loses":
            rate, of, q = _rate(row, "lost"), row["own"], row["q_loss"]
            said.append(f"{rate} of {counted(of, 'image')} of {name} stop being it (q = {q:.2g}).")
    return said


def _rate(row: dict[str, Any], what: str) -> str:
    of = row["others" if what == "gained" else "own"]
    low, high = percent(row[f"{what}_low"]), percent(row[f"{what}_high"])
    return f"{percent(row[what] / of)} ({low} to {high})"


def _drawn(run: Run, images: int) -> Sequence[int]:
    fine = pc.field("status") == int(Status.OK)
    image = ["image"] if run.spec.multi_label else []
    table = run.summary().to_table(columns=["row", *image], filter=fine).sort_by("row")
    rows = (first_rows(table) if image else table)["row"].to_numpy()
    chosen = np.random.default_rng(0).permutation(len(rows))[:images]
    return [int(row) for row in np.sort(rows[chosen])]


def _classes_in(predicted: NDArray[Any]) -> NDArray[np.int64]:
    return np.flatnonzero(predicted.any(0)) if predicted.ndim == 2 else np.unique(predicted)


def _has(predicted: NDArray[Any], key: int) -> NDArray[np.bool_]:
    return np.asarray(predicted[:, key] if predicted.ndim == 2 else predicted == key)


def _sign_test(more: int, less: int) -> float:
    """Return the probability of so many of them by the toss of a coin, one-sided."""
    return float(binomtest(more, more + less, alternative="greater").pvalue) if more else 1.0


def _exact(count: int, of: int) -> tuple[float, float]:
    if not of:
        return 0.0, 1.0
    interval = binomtest(count, of).proportion_ci(method="exact")
    return float(interval.low), float(interval.high)

"""Which tables a run has, and what the share of right answers in them is called.

Where images have several labels, a row is an image and one output, and the rows of a class are
those with its label, or those for which it is predicted, never all images. So the share of right
ones is a recall or a precision, and a run that explains labels only has no rows to tell how often a
prediction is right.
"""

from pipeline.atlas.statistics.membership import TABLES
from pipeline.store import RunSpec

ACCURACY, RECALL, PRECISION, OVERLAP = "accuracy", "recall", "precision", "overlap"
EXPLAINED = "explained_precision"
"""A precision of the predictions that are explained: those with the highest scores of an image."""


def tables_of(spec: RunSpec) -> tuple[str, ...]:
    """Return the tables of class statistics that the rows of a run are complete for."""
    target = spec.config["flow"]["target"]
    if not spec.multi_label or target not in ("label", "predicted"):
        return tuple(TABLES)
    return ("label", "outcome") if target == "label" else ("predicted",)


def rate_of(spec: RunSpec, table: str) -> str:
    """Return the name of the share of right answers in a table.

    ``recall``: of the rows with the label those that are predicted. ``precision``: of the rows
    that are predicted those with the label (``explained_precision`` where only some predictions
    have a row). ``overlap``: of the rows with either those with both.
    """
    if not spec.multi_label:
        return ACCURACY
    target = spec.config["flow"]["target"]
    if target == "predicted":
        return EXPLAINED
    if table == "predicted":
        return PRECISION
    return RECALL if table in TABLES or target == "label" else OVERLAP

"""Detection sensitivity: how few images with a shortcut would have been enough for a finding.

An audit of a few images per class finds only what many of them show. So it also
reports how many images of a class would have to look almost only at one corner for that to be a
finding by itself, whatever else is one: the strictest step of the Benjamini–Hochberg correction.
Classes that differ much, as where one has a shortcut, raise the number for all the others.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from scipy.stats import betabinom

from pipeline.audit.shortcuts.detection import Q_LIMIT
from pipeline.audit.stats.beta_binomial import LEAST_MEMBERS, Expected, expected_shares
from pipeline.audit.stats.estimates import Estimates
from pipeline.audit.text.numbers import percent
from pipeline.nouns import counted

REACH = "audit/reach.parquet"
REACH_SCHEMA = pa.schema(
    [
        pa.field("class", pa.int32(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("least", pa.int64()),
        pa.field("share", pa.float64()),
    ]
)
"""``least`` of the ``images`` of a class, in any corner; null where even all would be too few."""

_SEARCHED = 4096
"""Numbers of images that are tried, beyond twice that of a large enough effect."""


def sensitivity_table(estimates: Sequence[Estimates], names: Sequence[str]) -> pa.Table:
    """Return ``REACH_SCHEMA``: the classes that can be judged, in order of their number."""
    family = [item for item in estimates if item.statistic.aspect == "share"]
    tests = sum(int(np.isfinite(item.score).sum()) for item in estimates)
    rows = []
    for expected in expected_shares(family) if family else ():
        least = max(
            _least(expected, i, Q_LIMIT / tests, item.statistic.effect)
            for i, item in enumerate(family)
        )
        images = int(expected.images)
        detectable = least <= images
        rows.append(
            {
                "class": expected.class_id,
                "class_name": names[expected.class_id],
                "images": images,
                "least": int(least) if detectable else None,
                "share": least / images if detectable else None,
            }
        )
    return pa.Table.from_pylist(rows, schema=REACH_SCHEMA)


def _least(expected: Expected, corner: int, limit: float, effect: float) -> float:
    """Return the number of images from which a corner is a finding; infinite if there is none."""
    least = max(LEAST_MEMBERS, effect * expected.share[corner] * expected.images)
    k = np.arange(min(expected.images, 2 * least + _SEARCHED) + 1)
    chance = betabinom.pmf(k, expected.images, *expected.prior(corner))
    or_more = 1 - np.cumsum(chance) + chance
    enough = (or_more <= limit) & (k >= least)
    return float(k[enough.argmax()]) if enough.any() else np.inf


def sensitivity_sentence(table: pa.Table) -> str:
    """Return what would have been found in half of the classes, and in nine of ten."""
    if not table.num_rows:
        return "No class can be judged: too few classes have enough images."
    shares = np.sort([np.inf if share is None else share for share in table["share"].to_pylist()])
    half, most = (shares[int(np.ceil(q * len(shares))) - 1] for q in (0.5, 0.9))
    if not np.isfinite(half):
        return "Most classes have too few images for anything rare to be found."
    known = np.isfinite(most)
    rest = f"in nine of ten {percent(most)}" if known else "in some, no number would be enough"
    return (
        f"In half of the {counted(table.num_rows, 'class')} it would have been a finding if "
        f"{percent(half)} of their images had looked almost only at one corner"
        f"{f'; {rest}' if most > half else ', and in nine of ten'}."
    )

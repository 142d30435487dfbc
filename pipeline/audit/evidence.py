"""Evidence: the images of a class that show a finding most."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.atlas import CONFIDENT, CONFIDENT_MASS, TABLES
from pipeline.audit.shortcut import Finding
from pipeline.store import Run, Status

SHOWN = 16
"""Images per finding."""

EVIDENCE_SCHEMA = pa.schema(
    [
        pa.field("finding", pa.int32(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("value", pa.float32(), nullable=False),
    ]
)


def evidence_table(run: Run, table: str, findings: Sequence[Finding]) -> pa.Table:
    """Return for every finding the images of its class with the most extreme values, in order.

    The value is that of the headline's column; ties go to the lower row.
    """
    if not findings:
        return EVIDENCE_SCHEMA.empty_table()
    group = TABLES[table]
    columns = {_summary_column(finding.headline.statistic.column) for finding in findings}
    classes = pa.array([finding.headline.number for finding in findings], pa.int32())
    images = run.summary().to_table(
        columns=["row", group, "confidence", *sorted(columns)],
        filter=pc.field(group).isin(classes) & (pc.field("status") == int(Status.OK)),
    )
    parts = [_of_finding(images, group, rank, item) for rank, item in enumerate(findings)]
    return pa.concat_tables(parts)


def _of_finding(images: pa.Table, group: str, rank: int, finding: Finding) -> pa.Table:
    statistic = finding.headline.statistic
    chosen = pc.field(group) == finding.headline.number
    if statistic.column == CONFIDENT_MASS:
        chosen &= pc.field("confidence") >= CONFIDENT
    own = images.filter(chosen)
    rows = own["row"].to_numpy()
    values = np.asarray(own[_summary_column(statistic.column)].to_numpy(), dtype=np.float32)
    order = np.lexsort((rows, -values if statistic.upwards else values))
    order = order[~np.isnan(values[order])][:SHOWN]
    return pa.table(
        {
            "finding": np.full(len(order), rank),
            "rank": np.arange(len(order)),
            "row": rows[order],
            "value": values[order],
        }
    ).cast(EVIDENCE_SCHEMA)


def _summary_column(column: str) -> str:
    return "mass_flow" if column == CONFIDENT_MASS else column

"""``audit``: from an atlas to findings, each with its sentence and its evidence."""

from collections.abc import Sequence

import pyarrow as pa

from pipeline.atlas import Atlas, open_atlas
from pipeline.audit.evidence import evidence_table
from pipeline.audit.readings import read_all
from pipeline.audit.sentences import KINDS, sentence
from pipeline.audit.shortcut import Finding, find_shortcuts
from pipeline.errors import RunIncomplete
from pipeline.store import Run
from pipeline.store.parquet import parquet_bytes
from pipeline.store.reader import FINDINGS

EVIDENCE = "audit/evidence.parquet"

FINDINGS_SCHEMA = pa.schema(
    [
        pa.field("finding", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("class", pa.int32(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("statistic", pa.string(), nullable=False),
        pa.field("layer", pa.int32()),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("control", pa.float64(), nullable=False),
        pa.field("effect", pa.float64(), nullable=False),
        pa.field("z", pa.float64(), nullable=False),
        pa.field("q", pa.float64(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("severity", pa.string(), nullable=False),
        pa.field("supporting", pa.string(), nullable=False),
        pa.field("sentence", pa.string(), nullable=False),
    ]
)


def audit(run: Run) -> pa.Table:
    """Write ``audit/findings.parquet`` and ``audit/evidence.parquet``; return the findings.

    Classes are the labels, or the predictions where no image is labelled. The table has one row
    per class that stands out, the gravest first, and none for a clean run: the other statistics
    that speak of the same class are named in ``supporting``, strongest first. ``layer`` is null
    where a finding is about the flow accumulated over all layers.

    Raises
    ------
    RunIncomplete
        The run was not aggregated.
    """
    atlas = _choose_atlas(run)
    findings = find_shortcuts(read_all(atlas))
    table = _findings_table(findings, atlas.names)
    run.write(EVIDENCE, parquet_bytes(evidence_table(run, atlas.table, findings)))
    run.write(FINDINGS, parquet_bytes(table))
    return table


def _choose_atlas(run: Run) -> Atlas:
    try:
        atlas = open_atlas(run, "label")
    except RunIncomplete:
        return open_atlas(run, "predicted")
    return atlas if atlas.count.any() else open_atlas(run, "predicted")


def _findings_table(findings: Sequence[Finding], names: Sequence[str]) -> pa.Table:
    rows = []
    for rank, finding in enumerate(findings):
        signal = finding.headline
        rows.append(
            {
                "finding": rank,
                "kind": KINDS[signal.statistic.kind],
                "class": signal.number,
                "class_name": names[signal.number],
                "statistic": signal.statistic.name,
                "layer": None,
                "value": signal.value,
                "control": signal.control,
                "effect": signal.effect,
                "z": signal.z,
                "q": signal.q,
                "images": signal.images,
                "severity": finding.severity,
                "supporting": ", ".join(item.statistic.name for item in finding.supporting),
                "sentence": sentence(finding, names[signal.number]),
            }
        )
    return pa.Table.from_pylist(rows, schema=FINDINGS_SCHEMA)

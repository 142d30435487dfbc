"""``audit``: from an atlas to findings, each with its sentence and its evidence."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.atlas import Atlas, choose_atlas
from pipeline.audit.explained_class import explained_atlas
from pipeline.audit.faults.detection import find_faults
from pipeline.audit.finding import CONFIRMATIONS, SEVERITIES, Entry, evidence_table, findings_table
from pipeline.audit.patterns.cluster_findings import clusters_table, find_clusters
from pipeline.audit.patterns.clustering import group_images
from pipeline.audit.patterns.outliers import find_outliers, outliers_table
from pipeline.audit.patterns.wrong_versus_right import compare_wrong, find_wrong, wrong_table
from pipeline.audit.shortcuts.detection import Finding, find_shortcuts
from pipeline.audit.shortcuts.evidence import extreme_images
from pipeline.audit.shortcuts.sensitivity import REACH, find_reach
from pipeline.audit.shortcuts.sentences import sentence
from pipeline.audit.stats.estimates import Reading, read_all
from pipeline.store import Run
from pipeline.store.parquet import parquet_bytes
from pipeline.store.reader import FINDINGS

EVIDENCE = "audit/evidence.parquet"
CLUSTERS = "audit/clusters.parquet"
OUTLIERS = "audit/outliers.parquet"
WRONG = "audit/wrong_vs_right.parquet"


def audit(run: Run) -> pa.Table:
    """Write ``audit/findings.parquet`` and what it rests on; return the findings.

    The gravest come first, and shortcuts before what else there is. Classes are the labels, or the
    predictions where no image is labelled. Of shortcuts the table has one row per class that
    stands out; the other statistics that speak of the same class are named in ``supporting``,
    strongest first. ``layer`` is null where a finding is about the flow accumulated over all
    layers, ``class`` where it is about the whole run. A clean run has no row. What ``confirm``
    has added, verdicts and proven leads, stays if the findings are still the same, else it is
    removed.

    Raises
    ------
    RunIncomplete
        The run was not aggregated.
    """
    atlas = choose_atlas(run)
    readings = read_all(atlas)
    groups, gaps = group_images(run, explained_atlas(run, atlas)), compare_wrong(run)
    entries = [
        *_shortcuts(run, atlas, readings),
        *find_clusters(groups, run.spec.classes),
        *find_outliers(groups, run.spec.classes),
        *find_wrong(run, gaps, run.spec.classes),
        *find_faults(run),
    ]
    entries.sort(key=lambda entry: SEVERITIES.index(entry.severity))
    table = findings_table(entries, atlas.names)
    run.write(REACH, parquet_bytes(find_reach(readings, atlas.names)))
    run.write(CLUSTERS, parquet_bytes(clusters_table(groups, run.spec.classes)))
    run.write(OUTLIERS, parquet_bytes(outliers_table(groups, run.spec.classes)))
    run.write(WRONG, parquet_bytes(wrong_table(gaps, run.spec.classes)))
    if run.exists(FINDINGS) and audited(run).equals(table):
        return run.findings()
    run.delete(CONFIRMATIONS)  # its verdicts are on findings that have other numbers now
    run.write(EVIDENCE, parquet_bytes(evidence_table(entries)))
    run.write(FINDINGS, parquet_bytes(table))
    return table


def audited(run: Run) -> pa.Table:
    """Return the findings without the leads that ``confirm`` proved; those have higher numbers."""
    return run.findings().filter(pc.field("kind") != "lead")


def add_leads(run: Run, leads: Sequence[Entry], names: Sequence[str]) -> int:
    """Write findings and evidence with these leads and without earlier ones.

    Returns the number of the first; the others follow.
    """
    before = audited(run)
    if not leads and len(before) == len(run.findings()):
        return len(before)
    evidence = run.table(EVIDENCE).filter(pc.field("finding") < len(before))
    for path, kept, added in (
        (EVIDENCE, evidence, evidence_table(leads)),
        (FINDINGS, before, findings_table(leads, names)),
    ):
        numbers = pc.add(added["finding"], pa.scalar(len(before), pa.int32()))
        added = added.set_column(0, added.schema.field("finding"), numbers)
        run.write(path, parquet_bytes(pa.concat_tables([kept, added])))
    return len(before)


def _shortcuts(run: Run, atlas: Atlas, readings: Sequence[Reading]) -> list[Entry]:
    found = find_shortcuts(readings)
    shown = extreme_images(run, atlas.table, [finding.headline for finding in found])
    return [
        _entry(finding, atlas, evidence) for finding, evidence in zip(found, shown, strict=True)
    ]


def _entry(finding: Finding, atlas: Atlas, evidence: tuple[tuple[int, float], ...]) -> Entry:
    signal = finding.headline
    return Entry(
        kind=finding.kind,
        number=signal.number,
        statistic=signal.statistic.name,
        value=signal.value,
        control=signal.control,
        effect=signal.effect,
        z=signal.z,
        q=signal.q,
        images=signal.images,
        severity=finding.severity,
        supporting=tuple(item.statistic.name for item in finding.supporting),
        sentence=sentence(finding, atlas.names),
        evidence=evidence,
    )

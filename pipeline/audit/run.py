"""``audit``: from an atlas to findings, each with its sentence and its evidence."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.atlas import Atlas, choose_atlas
from pipeline.audit.explained_class import explained_atlas
from pipeline.audit.faults.detection import find_faults
from pipeline.audit.faults.labels import find_label_faults
from pipeline.audit.faults.properties import EACH, MOST, measure_properties
from pipeline.audit.faults.property_findings import (
    compare_properties,
    find_properties,
    properties_table,
)
from pipeline.audit.finding import SEVERITIES, Finding
from pipeline.audit.findings_table import (
    CONFIRMATIONS,
    findings_table,
    numbered,
    read_findings,
    write_findings,
)
from pipeline.audit.multi_label.label_faults import find_multi_label_faults
from pipeline.audit.multi_label.scores import (
    LABELS,
    TOGETHER,
    labels_table,
    score_labels,
    together_table,
)
from pipeline.audit.patterns.cluster_findings import clusters_table, find_clusters
from pipeline.audit.patterns.clustering import cluster_classes
from pipeline.audit.patterns.outliers import find_outliers, outliers_table
from pipeline.audit.patterns.wrong_versus_right import compare_wrong, find_wrong, wrong_table
from pipeline.audit.shortcuts.carriers import Carriers, count_carriers
from pipeline.audit.shortcuts.detection import Shortcut, find_shortcuts
from pipeline.audit.shortcuts.evidence import Evidence, extreme_images
from pipeline.audit.shortcuts.sensitivity import REACH, sensitivity_table
from pipeline.audit.shortcuts.sentences import sentence
from pipeline.audit.stats.estimates import Estimates, estimate_all
from pipeline.progress import Progress, Show, unseen
from pipeline.store import Run
from pipeline.store.parquet import parquet_bytes
from pipeline.store.reader import FINDINGS

CLUSTERS = "audit/clusters.parquet"
OUTLIERS = "audit/outliers.parquet"
WRONG = "audit/wrong_vs_right.parquet"

ADDED = ("screened", "lead")
"""Kinds of findings that later steps add, in the order in which they follow those of the audit."""
PROPERTIES = "audit/properties.parquet"


_READ = 10


def audit(run: Run, properties: int = EACH, on_progress: Show = unseen) -> pa.Table:
    """Write ``audit/findings.parquet`` and what it rests on; return the findings.

    Labels that do not look like the model's outputs come first of all, for nothing else can be
    read then; after them the most severe, and shortcuts before what else there is. Classes are the
    labels, or the predictions where no image is labelled. Of shortcuts the table has one row per
    class that stands out; the other statistics in which the same class does are in ``supporting``,
    strongest first. ``layer`` is null where a finding is about the flow accumulated over all
    layers, ``class`` where it is about the whole run. A clean run has no row. What ``screen`` and
    ``confirm`` have added, shortcuts, proven leads and verdicts, stays if the findings are still
    the same, else it is removed. Where images have several labels,
    ``audit/labels.parquet`` has the scores of every label, and ``audit/labels_together.parquet``
    which labels and predictions occur together.

    Of each class up to ``properties`` images are read for what gives the label away beside what
    they show, none if it is 0; all else is known from the run. ``on_progress`` gets the images that
    are clustered, and ``_READ`` times those that are read, as reading takes so much longer.

    Raises
    ------
    RunIncomplete
        The run was not aggregated.
    """
    atlas, names = choose_atlas(run), run.spec.classes
    estimates = estimate_all(atlas)
    explained, progress = explained_atlas(run, atlas), Progress(on_progress)
    clustered_images = int((explained.count - explained.n_zero).sum())
    read = min(int(np.minimum(atlas.count, properties).sum()), MOST)
    progress.plan(_READ * read + clustered_images)
    measured = measure_properties(run, atlas.table, properties, lambda: progress.add(_READ))
    progress.plan(clustered_images)
    betraying = compare_properties(measured)
    clustered = cluster_classes(run, explained, progress)
    gaps = compare_wrong(run)
    found = [
        *_shortcuts(run, atlas, estimates),
        *find_clusters(clustered, names),
        *find_outliers(clustered, names),
        *find_wrong(run, gaps, names),
        *find_faults(run),
        *find_properties(measured, betraying, atlas.names),
    ]
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    findings = numbered([*_label_faults(run), *found])
    table = findings_table(findings)
    run.write(REACH, parquet_bytes(sensitivity_table(estimates, atlas.names)))
    run.write(CLUSTERS, parquet_bytes(clusters_table(clustered, names)))
    run.write(OUTLIERS, parquet_bytes(outliers_table(clustered, names)))
    run.write(WRONG, parquet_bytes(wrong_table(gaps, names)))
    run.write(PROPERTIES, parquet_bytes(properties_table(betraying, atlas.names)))
    if run.exists(FINDINGS):
        before = run.findings()
        if before.filter(~pc.field("kind").isin(ADDED)).equals(table):
            return before
    run.delete(CONFIRMATIONS)  # its verdicts are on findings that have other numbers now
    write_findings(run, findings)
    return table


def _label_faults(run: Run) -> list[Finding]:
    """Return what is wrong with the labels; of several per image also write scores per label."""
    if not run.spec.multi_label:
        return find_label_faults(run)
    scores = score_labels(run)
    run.write(LABELS, parquet_bytes(labels_table(scores, run.spec.classes)))
    run.write(TOGETHER, parquet_bytes(together_table(scores, run.spec.classes)))
    return find_multi_label_faults(run, scores)


def audited(run: Run) -> tuple[Finding, ...]:
    """Return the findings without the leads that ``confirm`` proved; those have higher numbers.

    Raises
    ------
    RunIncomplete
        The run has no audit yet, or one of an earlier version.
    """
    return tuple(finding for finding in read_findings(run) if finding.kind != "lead")


def add_leads(run: Run, leads: Sequence[Finding]) -> int:
    """Write findings and evidence with these leads and without earlier ones.

    Returns the number of the first; the others follow.
    """
    before = audited(run)
    if leads or len(before) < len(run.findings()):
        write_findings(run, numbered([*before, *leads]))
    return len(before)


def _shortcuts(run: Run, atlas: Atlas, estimates: Sequence[Estimates]) -> list[Finding]:
    found = find_shortcuts(estimates)
    shown = extreme_images(run, atlas.table, [shortcut.headline for shortcut in found])
    return [
        _finding(shortcut, evidence, count_carriers(atlas, shortcut.headline), atlas.names)
        for shortcut, evidence in zip(found, shown, strict=True)
    ]


def _finding(
    shortcut: Shortcut, evidence: Evidence, carriers: Carriers | None, names: Sequence[str]
) -> Finding:
    signal = shortcut.headline
    return Finding(
        kind=shortcut.kind,
        class_id=signal.class_id,
        class_name=names[signal.class_id],
        statistic=signal.statistic.name,
        columns=shortcut.columns,
        place=shortcut.place,
        value=signal.value,
        control=signal.control,
        effect=signal.effect,
        z=signal.z,
        q=signal.q,
        images=signal.images,
        carriers=carriers.images if carriers else None,
        elsewhere=carriers.elsewhere if carriers else None,
        severity=shortcut.severity,
        supporting=tuple(item.statistic.name for item in shortcut.supporting),
        sentence=sentence(shortcut, names, carriers),
        evidence=evidence,
    )

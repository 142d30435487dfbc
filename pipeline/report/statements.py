"""The statements of the first screen, read from what a report holds."""

from pipeline.audit.text.names import short_names
from pipeline.report.contents import Volume
from pipeline.report.opening.answer import (
    Statement,
    looks,
    suspicion,
    unexamined,
    works,
    works_by_label,
)
from pipeline.report.opening.gaps import find_gaps
from pipeline.report.pages.labels import read_labels


def read_statements(volume: Volume) -> tuple[Statement, ...]:
    """Return the answers of the first screen, in order."""
    run, findings, verdicts = volume.run, volume.findings, volume.verdicts
    if run.spec.multi_label:
        first = works_by_label(read_labels(run))
    else:
        first = works(volume.answers, short_names(run.spec.classes))
    return (
        first,
        looks(volume.atlas, run.spec.grid),
        suspicion(findings, verdicts),
        unexamined(find_gaps(run, volume.facts, volume.classes, findings, verdicts)),
    )

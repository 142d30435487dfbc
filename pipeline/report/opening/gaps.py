"""What a report has not looked for, and why, so that silence is never taken for a result."""

from collections.abc import Iterator, Mapping, Sequence

from pipeline.audit.finding import Finding
from pipeline.audit.findings_table import SANITY, SCREENING
from pipeline.audit.stats.contrast import LEAST_CLASSES
from pipeline.audit.stats.estimates import LEAST_IMAGES
from pipeline.nouns import counted, part_of
from pipeline.report.pages.classes import ClassFacts
from pipeline.report.pages.facts import RunFacts
from pipeline.report.pages.verdicts import Verdict, state_of
from pipeline.store import Run


def find_gaps(
    run: Run,
    facts: RunFacts,
    classes: Sequence[ClassFacts],
    findings: Sequence[Finding],
    verdicts: Mapping[int, Verdict],
) -> Iterator[str]:
    """Yield a sentence for everything that was not looked for."""
    if facts.accuracy is None and not facts.labels:
        yield "Wrong answers: there are no labels."
    small = sum(fact.few for fact in classes)
    if len(classes) - small < LEAST_CLASSES:
        yield (
            f"Shortcuts: {part_of(len(classes) - small, len(classes), 'class')} have "
            f"{LEAST_IMAGES} images, and it takes {LEAST_CLASSES} to compare."
        )
    elif small:
        yield (
            f"Shortcuts in {part_of(small, len(classes), 'class')}: they have fewer than "
            f"{LEAST_IMAGES} images."
        )
    if not any(column.startswith("box_") for column in run.summary().schema.names):
        yield "Whether the flow is on the objects: there are no boxes (dataset.boxes)."
    if not run.exists(SANITY):
        yield "Whether the maps depend on the model: no baselines (flowatlas audit)."
    if not run.exists(SCREENING) and not run.spec.multi_label and facts.accuracy is not None:
        yield (
            "Which parts of images turn others into their class, wherever the model looks: not "
            "screened (flowatlas screen)."
        )
    untested = sum(state_of(found, verdicts.get(found.number)) == "untested" for found in findings)
    if untested:
        places = counted(untested, "place")
        yield f"Whether the model uses {places} that it looks at (flowatlas confirm)."

from dataclasses import replace

from pipeline.audit.findings_table import read_findings
from pipeline.report.opening.gaps import find_gaps
from pipeline.report.pages.classes import rank_classes
from pipeline.report.pages.facts import read_facts
from pipeline.report.pages.verdicts import read_verdicts


def test_everything_that_was_not_looked_for_is_named_with_its_reason(run):
    facts, findings = read_facts(run), read_findings(run)
    classes = rank_classes(run.atlas("label"), findings)
    said = " ".join(find_gaps(run, facts, classes, findings, read_verdicts(run)))
    assert "there are no boxes" in said
    assert "no baselines" in said
    assert "not screened (flowatlas screen)" in said
    assert "labels" not in said
    assert "flowatlas confirm" not in said
    few = [replace(fact, images=5, distinct=5.0, no_mass=0) for fact in classes]
    said = " ".join(find_gaps(run, replace(facts, accuracy=None), few, findings, {}))
    assert "there are no labels" in said
    assert f"0 of {len(few)} classes" in said
    assert "flowatlas confirm" in said
    some = [*few[:1], *classes[1:]]
    assert "in 1 of" in " ".join(find_gaps(run, facts, some, findings, {}))

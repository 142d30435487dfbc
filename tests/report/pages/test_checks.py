from dataclasses import replace

import pyarrow as pa

from pipeline.atlas import aggregate, choose_atlas
from pipeline.audit.findings_table import SANITY
from pipeline.audit.sanity import SANITY_SCHEMA
from pipeline.audit.shortcuts.sensitivity import REACH, REACH_SCHEMA
from pipeline.report.pages.checks import read_checks
from pipeline.report.pages.classes import rank_classes
from pipeline.report.pages.facts import read_facts
from pipeline.store.parquet import parquet_bytes
from tests.report.reported import drawn_run


def test_checks_say_what_was_lost_and_what_the_baselines_found(tmp_path):
    run = drawn_run(tmp_path / "run", images=64)
    aggregate(run)
    atlas = choose_atlas(run)
    facts, classes = read_facts(run), rank_classes(atlas, ())
    quarantine, mass, comparison, baselines = read_checks(run, atlas, facts, classes)
    assert f"{facts.quarantined} of 64" in quarantine.sentence
    assert quarantine.passed == (facts.quarantined / 64 <= 0.01)
    assert mass.passed == (sum(fact.no_mass for fact in classes) <= 0.01 * facts.images)
    assert read_checks(run, atlas, replace(facts, quarantined=0), classes)[0].passed
    assert not comparison.passed  # 64 images are too few for four classes of 20
    assert comparison.sentence.startswith(f"0 of {len(classes)} classes")
    enough = tuple(replace(fact, distinct=20, no_mass=0) for fact in classes[:4])
    assert read_checks(run, atlas, facts, enough)[2].passed == (len(enough) == 4)
    assert "flowatlas audit" in baselines.sentence
    assert baselines.passed is None
    row = {"baseline": "shuffled", "images": 3, "rank_correlation": 0.6, "passed": False}
    row |= {
        "box_lift": None,
        "flow_box_lift": None,
        "sentence": "Shuffled weights: too much <b>alike</b>",
    }
    run.write(SANITY, parquet_bytes(pa.Table.from_pylist([row], schema=SANITY_SCHEMA)))
    (shuffled,) = read_checks(run, atlas, facts, classes)[3:]
    assert (shuffled.title, shuffled.passed) == ("Shuffled weights", False)
    assert shuffled.sentence == "Too much <b>alike</b>"
    rows = [{"class": 0, "class_name": "x", "images": 50, "least": 5, "share": 0.1}]
    run.write(REACH, parquet_bytes(pa.Table.from_pylist(rows, schema=REACH_SCHEMA)))
    reach = read_checks(run, atlas, facts, classes)[3]
    assert (reach.title, reach.passed) == ("Detection sensitivity", None)
    assert "if 10 % of their images" in reach.sentence

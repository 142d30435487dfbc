import numpy as np
import pyarrow.compute as pc
import pytest

from pipeline.atlas import aggregate
from pipeline.audit import audit
from pipeline.audit.shortcuts.detection import find_shortcuts
from pipeline.audit.shortcuts.sensitivity import (
    REACH,
    REACH_SCHEMA,
    sensitivity_sentence,
    sensitivity_table,
)
from pipeline.audit.stats.estimates import Estimates, Statistic
from tests.atlas.synthetic import synthetic_run
from tests.audit.stats.test_beta_binomial import family, quiet

NAMES = [f"class {number}" for number in range(40)]


def is_found(counts, images, number, corner, k):
    """Whether ``k`` images of a class, looking at one corner, are a finding."""
    changed = counts.copy()
    changed[corner, number] = k
    return any(f.headline.class_id == number for f in find_shortcuts(family(changed, images)))


@pytest.mark.parametrize("images", [80, 600, 5000])
@pytest.mark.parametrize("number", [0, 7])
def test_what_is_said_would_be_found_is_found_and_one_image_less_is_not(images, number):
    """In every corner, and in the one that needs most not with one image less."""
    counts = np.random.default_rng(images).binomial(images, 0.002, (4, 12))
    counts[:, number] = 0
    (row,) = (
        sensitivity_table(family(counts, images), NAMES)
        .filter(pc.field("class") == number)
        .to_pylist()
    )
    assert row["share"] == row["least"] / images
    assert all(is_found(counts, images, number, corner, row["least"]) for corner in range(4))
    assert not all(
        is_found(counts, images, number, corner, row["least"] - 1) for corner in range(4)
    )


def test_where_nothing_would_do_that_is_said():
    few = np.array([[6, 5, 6, 5, 6]] * 4)
    reach = sensitivity_table(family(few, 20), NAMES)
    assert reach["least"].null_count == 5
    assert "too few images" in sensitivity_sentence(reach)


def test_without_enough_classes_there_is_no_reach():
    reach = sensitivity_table(family(quiet()[:, :3]), NAMES)
    assert reach.equals(REACH_SCHEMA.empty_table())
    assert sensitivity_sentence(reach).startswith("No class can be judged")
    assert sensitivity_table([], NAMES).equals(REACH_SCHEMA.empty_table())


def test_more_questions_take_more_images():
    counts = quiet()
    alone = sensitivity_table(family(counts), NAMES)["least"].to_numpy()
    others = [
        Estimates(Statistic("x", "mass", "level", False, 1.5), *rest)
        for rest in [(np.ones(8), np.ones(8), np.ones(8), np.full(8, 600))] * 50
    ]
    assert (sensitivity_table([*family(counts), *others], NAMES)["least"].to_numpy() > alone).all()


def test_the_sentence_tells_half_and_nine_of_ten():
    rows = [
        {"class": i, "class_name": "x", "images": 100, "least": i + 4, "share": (i + 4) / 100}
        for i in range(10)
    ]
    reach = sensitivity_table([], NAMES).from_pylist(rows, schema=REACH_SCHEMA)
    said = sensitivity_sentence(reach)
    assert "half of the 10 classes it would have been a finding if 8 %" in said
    assert "nine of ten 12 %" in said
    alike = [row | {"least": 4, "share": 0.04} for row in rows]
    said = sensitivity_sentence(reach.from_pylist(alike, schema=REACH_SCHEMA))
    assert "if 4 % of" in said
    assert said.endswith("corner, and in nine of ten.")
    rows[8] |= {"least": None, "share": None}
    rows[9] |= {"least": None, "share": None}
    assert "in some, no number would be enough." in sensitivity_sentence(
        reach.from_pylist(rows, schema=REACH_SCHEMA)
    )


def test_an_audit_leaves_it_behind(tmp_path):
    run = synthetic_run(tmp_path, 1600, 8, 100, layers=2)
    aggregate(run, tables=("label",), workers=1, k=1)
    assert not audit(run).num_rows
    reach = run.table(REACH)
    assert reach.schema.equals(REACH_SCHEMA)
    assert reach.num_rows == 8

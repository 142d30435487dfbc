import re
from dataclasses import replace

import pytest

from pipeline.audit.screening.judgement import judge
from pipeline.audit.screening.screening_table import SCREENING_SCHEMA, screening_table
from tests.audit.screening.test_judgement import NONE, TESTS, examined, rate

NAMES = ("cat", "dog", "owl")


def table(*found):
    return screening_table(judge(found, TESTS), NAMES)


@pytest.mark.parametrize(
    "changes", [{}, {"chance": 0.4}, {"others": rate(30)}, {"random": rate(45)}]
)
def test_the_numbers_of_a_sentence_are_in_its_row(changes):
    found = table(examined(**changes))
    assert found.schema.equals(SCREENING_SCHEMA)
    (row,) = found.to_pylist()
    assert row["sentence"].startswith(
        "What lies over the same place (block at the bottom, left of the "
    )
    known = {float(row["carriers"]), float(row["donors"]), row["chance"], 100 * row["left"]}
    known |= {100 * row[f"{name}_rate"] for name in ("pasted", "others", "random")}
    for number in re.findall(r"\d+(?:\.\d+)?", row["sentence"]):
        assert any(abs(float(number) - value) <= 0.0501 for value in known), number


def test_the_largest_effect_comes_first_and_names_what_is_the_same():
    weaker = examined(pasted=rate(24), rest=rate(20, 80))
    rows = table(weaker, examined()).to_pylist()
    assert [row["pasted_rate"] for row in rows] == [0.5, 0.25]
    assert [row["same_as"] for row in rows] == [None, 0]


@pytest.mark.parametrize(
    ("part", "words"), [("peak", "The repeated detail of 6"), ("noise", "The noise of 6 of 20")]
)
def test_what_has_no_place_is_named_without(part, words):
    (row,) = table(examined(part=part)).to_pylist()
    assert row["sentence"].startswith(words)


def test_another_class_or_another_judgement_is_not_the_same():
    rows = table(examined(), examined(others=rate(40))).to_pylist()
    assert [row["same_as"] for row in rows] == [None, None]


def test_no_part_is_an_empty_table():
    assert table().equals(SCREENING_SCHEMA.empty_table())


def test_what_was_not_tried_is_null_and_the_sentence_says_so():
    (row,) = table(examined(rest=NONE, others=NONE)).to_pylist()
    assert row["others_rate"] is None
    assert "that of its other images was not tested" in row["sentence"]


def test_the_spots_of_carriers_are_kept():
    found = examined(part="peak")
    spots = tuple((place, 2) for place in range(6))
    moved = replace(found, candidate=replace(found.candidate, spots=spots))
    assert table(moved).to_pylist()[0]["carrier_spots"] == [list(spot) for spot in spots]
    assert table(found).to_pylist()[0]["carrier_spots"] == []

import numpy as np
import pytest

from pipeline.audit.finding import Finding
from pipeline.report.opening.answer import looks, suspicion, unexamined, works
from pipeline.report.opening.confusions import Answers, Confusion
from tests.report.opening.test_shared import atlas, blobs

NAMES = ("laptop", "notebook", "leopard\u202e")


def test_accuracy_is_against_chance_and_the_worst_confusions_are_named():
    confusions = (Confusion(0, 1, 24, 58, 2), Confusion(2, 0, 5, 40, 0))
    counts = {(0, 0): 34, (0, 1): 24, (2, 2): 35, (2, 0): 5}
    found = works(Answers(counts, confusions), NAMES)
    assert "70.4 % of 98 images are right" in found.text
    assert "24 of 58 images of “laptop” are called “notebook”" in found.text
    assert found.text.endswith("5 of 40 images of “leopard\\u202e” are called “laptop”.")
    assert [part.class_id for part in found.parts if part.class_id is not None] == [0, 2]
    chance = (58 * 39 + 40 * 35) / 98**2
    assert f"{100 * chance:.3g} %" in found.text


def test_without_labels_nothing_is_claimed():
    assert "Unknown" in works(Answers({}, ()), NAMES).text


@pytest.mark.parametrize(
    ("right", "words"),
    [
        (95, "works well"),
        (65, "works for most"),
        (45, "is often wrong"),
        (30, "is mostly wrong"),
        (21, "is hardly better than chance"),
    ],
)
def test_the_word_goes_by_what_is_above_chance(right, words):
    counts = {(c, c): right for c in range(5)}
    counts |= {(c, (c + 1) % 5): 100 - right for c in range(5)}
    assert words in works(Answers(counts, ()), "abcde").text


@pytest.mark.parametrize(
    ("centre", "border", "words"),
    [
        (2.0, 0.25, "mostly at the middle: 50 % of the flow"),
        (1.2, 1.03, "a little more at the middle: 30 % of the flow"),
        (1.0, 1.05, "almost evenly: 25 % of the flow"),
        (0.8, 1.2, "more at the border than at the middle: 20 % of the flow"),
    ],
)
def test_where_it_looks_is_against_a_uniform_map(centre, border, words):
    found = atlas(blobs())
    found.columns = {"centre_flow": "ratio", "border_flow": "ratio"}
    moments = {"centre_flow": centre, "border_flow": border}
    found.column_moments = lambda name: (np.full(10, moments[name]), None, np.full(10, 3))
    text = looks(found, (8, 8)).text
    assert words in text
    assert f"{43.75 * border:.3g} % in the outermost ring" in text
    assert "25 % and 43.8 %" in text


def test_findings_are_counted_by_severity_and_test():
    some = [
        Finding("shortcut", 0, "x", 1, 1, "high", "So it is.", place="tl", number=0),
        Finding("fault", None, "y", 1, 1, "low", "Two are dark.", number=1),
    ]
    said = suspicion(some, {})
    assert said.text == "2 findings (1 high, 1 low; 1 not tested yet). First: So it is."
    assert suspicion(some[:1], {}).text == "1 finding (high, not tested yet): So it is."
    assert suspicion(some[1:], {}).text == "1 finding (low): Two are dark."
    assert said.parts[-1].finding == 0
    assert "Nothing stood out" in suspicion([], {}).text


def test_what_was_left_out_is_said():
    assert unexamined(["No boxes.", "No labels."]).text == "No boxes. No labels."
    assert "Nothing" in unexamined([]).text

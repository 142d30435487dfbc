from dataclasses import replace

import pytest

from pipeline.audit.causal.confirmation import LEVEL
from pipeline.audit.screening.candidate import Candidate
from pipeline.audit.screening.examination import Examined, chance
from pipeline.audit.screening.judgement import judge, provable
from pipeline.audit.stats.intervals import Rate

NONE = Rate(0, 0, LEVEL)
TESTS = 575


def rate(count, images=96, design=1.0):
    return Rate(count, images, LEVEL, design)


def examined(left=0.1, chance=0.001, part="block_31", **changes):
    """A part that six of twenty donors carry, that turns half of the images, and is rare."""
    carriers, others = tuple(range(6)), tuple(range(6, 20))
    found = Examined(
        candidate=Candidate(1, part, carriers, others, (3.0,) * 6, 3.0, left, chance),
        carriers=carriers,
        plain_rows=others,
        pasted=rate(48),
        rest=rate(40, 80),
        others=rate(1),
        random=rate(0),
        mirrored=rate(1, 48),
        erased=rate(0, 6),
        plain=rate(0, 14),
    )
    return replace(found, **changes)


def word(**changes):
    (judged,) = judge([examined(**changes)], TESTS)
    return judged.word, judged.verdict


def test_what_some_images_carry_and_only_these_is_a_shortcut():
    assert word() == ("shortcut", "used")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"others": rate(30)}, "object"),  # it works in the whole class
        ({"chance": 0.4}, "unclear"),  # others have it as often
        ({"random": rate(45)}, "nothing"),  # any such patch does it
        ({"mirrored": rate(24, 48)}, "nothing"),  # any part of these images does it
        ({"pasted": rate(5), "rest": rate(4, 80)}, "nothing"),  # too little for so many tests
        ({"rest": rate(0, 80)}, "nothing"),  # half of the carriers have nothing of it
        ({"covers": 0.8}, "unclear"),  # the same picture twice
        ({"rest": NONE}, "nothing"),
        ({"random": NONE}, "nothing"),  # without a control nothing is proven
        ({"inside": 0.6, "others_inside": 0.1}, "object"),  # there the object is
        ({"inside": 0.1, "others_inside": 0.1}, "shortcut"),
        ({"inside": 0.6, "others_inside": 0.6}, "shortcut"),  # on the object, in all of them
    ],
)
def test_what_speaks_against_a_shortcut(changes, expected):
    assert word(**changes)[0] == expected


def test_images_that_share_donors_count_as_fewer():
    assert word(pasted=rate(48, design=16.0), rest=rate(40, 80, 16.0))[0] == "nothing"


def test_rarity_is_corrected_for_all_parts_that_work():
    several = [examined(chance=0.04), *(examined(chance=0.9) for _ in range(8))]
    assert {item.word for item in judge(several, TESTS)} == {"unclear"}
    assert judge([several[0]], TESTS)[0].word == "shortcut"


def test_an_effect_must_stand_out_of_all_classes_and_parts():
    found = examined(pasted=rate(12), rest=rate(11, 80), mirrored=NONE)
    assert judge([found], 23)[0].word == "shortcut"
    assert judge([found], 23_000)[0].word == "nothing"


def test_nothing_to_judge():
    assert judge([], TESTS) == []


def test_what_is_not_tried_further_could_not_have_been_proven():
    """The last round stops where even no hit of the control would prove nothing."""
    control = rate(0, 72)
    stopped = [count for count in range(40) if chance(rate(count), control) > provable(1, TESTS)]
    assert stopped
    for count in stopped:
        found = examined(pasted=rate(count), random=control)
        assert judge([found], TESTS)[0].word == "nothing"


def test_what_was_not_tried_has_no_effect():
    untried = ("random", "rest", "others", "mirrored", "erased", "plain")
    (judged,) = judge([examined(**dict.fromkeys(untried, NONE))], TESTS)
    assert (judged.word, judged.verdict) == ("nothing", "undecided")

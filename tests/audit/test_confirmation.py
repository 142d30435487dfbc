import pytest

from pipeline.audit.confirmation import LEVEL, Confirmation
from pipeline.audit.intervals import Rate
from pipeline.audit.suspects import Suspect

SUSPECT = Suspect(0, 1, "corner_tl_flow", (), (), (), ())


def verdict(pasted, random, erased=(0, 0), plain=(0, 0)):
    rates = (Rate(*pair, LEVEL) for pair in (pasted, random, erased, plain))
    return Confirmation(SUSPECT, *rates).verdict


@pytest.mark.parametrize(
    ("pasted", "random", "erased", "plain", "expected"),
    [
        ((180, 200), (2, 200), (0, 9), (0, 200), "used"),
        ((3, 200), (2, 200), (30, 40), (4, 200), "used"),  # only its loss shows it
        ((4, 200), (2, 200), (0, 40), (0, 200), "seen"),
        ((60, 200), (58, 200), (0, 40), (0, 200), "undecided"),  # any patch flips: too noisy
        ((2, 12), (0, 12), (0, 5), (0, 9), "undecided"),
        ((0, 0), (0, 0), (0, 0), (0, 0), "undecided"),
    ],
)
def test_verdicts_follow_the_intervals(pasted, random, erased, plain, expected):
    assert verdict(pasted, random, erased, plain) == expected


def test_more_images_decide():
    assert verdict((1, 30), (0, 30)) == "undecided"
    assert verdict((5, 150), (0, 150)) == "seen"

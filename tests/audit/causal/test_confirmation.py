import pytest

from pipeline.audit.causal.confirmation import LEVEL, Confirmation
from pipeline.audit.causal.suspects import Suspect
from pipeline.audit.stats.intervals import Rate

SUSPECT = Suspect(0, 1, "tl", (), (), (), (), ())


def verdict(pasted, random, erased=(0, 0), plain=(0, 0), mirrored=(0, 200)):
    rates = (Rate(*pair, LEVEL) for pair in (pasted, pasted, mirrored, random, erased, plain))
    return Confirmation(SUSPECT, *rates).verdict


@pytest.mark.parametrize(
    ("pasted", "random", "erased", "plain", "expected"),
    [
        ((180, 200), (2, 200), (0, 9), (0, 200), "used"),
        ((3, 200), (2, 200), (30, 40), (4, 200), "used"),  # only its loss shows it
        ((4, 200), (2, 200), (0, 40), (0, 200), "seen"),
        ((24, 200), (0, 200), (0, 40), (0, 200), "undecided"),  # a hint: about as much as counts
        ((60, 200), (58, 200), (0, 40), (0, 200), "undecided"),  # any patch flips: too noisy
        ((2, 12), (0, 12), (0, 5), (0, 9), "undecided"),
        ((0, 0), (0, 0), (0, 0), (0, 0), "undecided"),
    ],
)
def test_verdicts_follow_the_intervals(pasted, random, erased, plain, expected):
    assert verdict(pasted, random, erased, plain) == expected


def test_a_patch_must_beat_the_other_side_of_its_own_images_as_well():
    assert verdict((120, 200), (2, 200)) == "used"
    assert verdict((120, 200), (2, 200), mirrored=(110, 200)) == "undecided"
    assert verdict((110, 200), (2, 200), mirrored=(130, 200)) == "seen"
    assert verdict((120, 200), (118, 200)) == "undecided"


def test_a_border_has_one_control():
    assert verdict((120, 200), (2, 200), mirrored=(0, 0)) == "used"
    assert verdict((120, 200), (0, 0), mirrored=(0, 0)) == "undecided"


def test_more_images_decide():
    assert verdict((1, 30), (0, 30), mirrored=(0, 30)) == "undecided"
    assert verdict((5, 150), (0, 150)) == "seen"


@pytest.mark.parametrize(
    ("pasted", "rest", "works"),
    [
        ((16, 200), (8, 150), True),  # too small a gain to be called use, but a gain
        ((16, 200), (0, 150), False),  # one image may have its very object there
        ((1, 200), (0, 150), False),
        ((90, 200), (0, 0), False),  # of one image nothing is known of others
        ((0, 0), (0, 0), False),
    ],
)
def test_a_patch_works_if_it_is_not_one_images_alone(pasted, rest, works):
    controls = [Rate(0, n, LEVEL) for n in (200, 200, 9, 100)]
    rates = (Rate(*pair, LEVEL) for pair in (pasted, rest))
    assert Confirmation(SUSPECT, *rates, *controls).works == works


def test_few_patches_can_clear_a_place_of_their_own_images_but_prove_no_habit():
    """What patches that flip unequally often are worth counts for ``used`` alone."""

    def judged(count, design):
        rest = (Rate(0, n, LEVEL) for n in (150, 200, 200, 9, 100))
        return Confirmation(SUSPECT, Rate(count, 200, LEVEL, design), *rest).verdict

    assert judged(6, 3.0) == "seen"
    assert judged(40, 1.0) == "used"
    assert judged(40, 8.0) == "undecided"
    assert judged(24, 4.0) == "undecided"

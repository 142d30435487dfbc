from pipeline.audit.screening.rounds import (
    LEAST_DONORS,
    Candidate,
    best,
    meetings,
    recipients_of,
    screened,
)
from pipeline.audit.screening.selection import ClassDonors, Selection

SELECTION = Selection(
    by_class=(ClassDonors(0, tuple(range(LEAST_DONORS))), ClassDonors(1, tuple(range(20, 25)))),
    recipients=tuple(range(100, 130)),
    classes=tuple(place % 3 for place in range(30)),
)


def candidate(class_id, part, gains, chance=1.0):
    return Candidate(class_id, part, tuple(range(len(gains))), tuple(gains), 1, chance)


def test_a_class_with_few_right_images_is_not_screened():
    assert [own.class_id for own in screened(SELECTION)] == [0]


def test_no_donor_meets_its_own_class_or_the_same_recipient_again():
    first = meetings(SELECTION, 0, (3, 4), 0, 1)
    later = meetings(SELECTION, 0, (3, 4), 1, 6)
    for met, again in zip(first, later, strict=True):
        assert not set(met) & set(again)
        assert len(set(again)) == 6
        assert {SELECTION.classes[place] for place in (*met, *again)} <= {1, 2}
    assert first + later == meetings(SELECTION, 0, (3, 4), 0, 1) + meetings(
        SELECTION, 0, (3, 4), 1, 6
    )
    assert first[0] != first[1] or later[0] != later[1]


def test_recipients_are_of_none_of_the_classes():
    assert {SELECTION.classes[place] for place in recipients_of(SELECTION, 0, 2)} == {1}


def test_the_next_round_gets_what_works_in_some_donors_only():
    carried = candidate(0, "top", [4.0, 4.2, 0.0, 0.1, 0.0, 0.1])
    whole = candidate(1, "top", [4.0, 4.2, 3.9, 4.1, 4.0, 4.1])
    weak = candidate(2, "top", [1.0, 1.1, 0.0, 0.1, 0.0, 0.1])
    alike = candidate(3, "top", [1.0, 1.1, 0.0, 0.1, 0.0, 0.1], chance=0.005)
    chosen = best([weak, whole, alike, carried], most=3)
    assert [item.class_id for item in chosen] == [0, 3, 2]


def test_a_region_inside_a_better_one_takes_no_place():
    gains = [5.0, 5.0, 0, 0, 0, 0]
    found = [candidate(0, key, gains) for key in ("top", "block_01", "ring", "block_21", "detail")]
    found[0] = candidate(0, "top", [6.0, 6.0, 0, 0, 0, 0])
    assert [item.part for item in best(found, 9, 9)] == ["top", "block_21", "detail", "ring"]


def test_one_class_does_not_take_all_places():
    keys = ("block_00", "block_11", "block_22", "block_33", "ring", "colours")
    many = [candidate(0, key, [5.0, 5.0, 0, 0, 0, 0]) for key in keys]
    other = candidate(1, "top", [1.0, 1.0, 0, 0, 0, 0])
    assert [item.class_id for item in best([*many, other], most=9, each=2)] == [0, 0, 1]

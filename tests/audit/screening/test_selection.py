from pipeline.audit.screening.selection import (
    LEAST_DONORS,
    POOL,
    RECIPIENTS,
    ClassDonors,
    Selection,
    screened,
    select_images,
)


def test_everyone_is_right_and_the_same_every_time(trained):
    selection = select_images(trained, "label")
    summary = trained.summary().to_table().sort_by("row").to_pylist()
    assert [own.class_id for own in selection.by_class] == [0, 1, 2, 3]
    for own in selection.by_class:
        right = {row["row"] for row in summary if row["correct"] and row["label"] == own.class_id}
        assert len(set(own.donors)) == len(own.donors) == min(len(right), POOL)
        assert set(own.donors) <= right
    assert len(selection.recipients) == len(set(selection.recipients)) <= RECIPIENTS
    for row, own in zip(selection.recipients, selection.classes, strict=True):
        assert summary[row]["correct"]
        assert summary[row]["label"] == own
    assert select_images(trained, "label") == selection


def test_the_first_donors_are_not_the_first_rows(trained):
    """They are drawn at random: the order of the files may mean something."""
    (own, *_) = select_images(trained, "label").by_class
    assert own.donors[:10] != tuple(sorted(own.donors))[:10]


def test_starts_are_groups_of_different_donors(trained):
    for own in select_images(trained, "label").by_class:
        assert len(own.starts) == 8
        for start in own.starts:
            assert len(set(start)) == len(start) >= 3
            assert set(start) <= set(range(len(own.donors)))


def test_a_class_with_few_right_images_is_not_screened():
    many, few = ClassDonors(0, tuple(range(LEAST_DONORS))), ClassDonors(1, (20, 21, 22))
    assert screened(Selection((many, few), (100, 101), (0, 1))) == (many,)
    assert screened(Selection((many, few), (100, 101), (0, 0))) == (), "there is nobody to turn"

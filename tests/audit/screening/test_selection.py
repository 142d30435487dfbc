from pipeline.audit.screening.selection import POOL, RECIPIENTS, select_images


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
    """Half by lot, half from the ends of the class: the order of the files tells nothing."""
    (own, *_) = select_images(trained, "label").by_class
    assert own.donors[:10] != tuple(sorted(own.donors))[:10]

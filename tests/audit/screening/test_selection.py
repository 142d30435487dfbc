from pipeline.audit.screening.cast import POOL, RECIPIENTS, choose_company


def test_everyone_is_right_and_the_same_every_time(trained):
    company = choose_company(trained, "label")
    summary = trained.summary().to_table().sort_by("row").to_pylist()
    assert [cast.class_id for cast in company.casts] == [0, 1, 2, 3]
    for cast in company.casts:
        right = {row["row"] for row in summary if row["correct"] and row["label"] == cast.class_id}
        assert len(set(cast.donors)) == len(cast.donors) == min(len(right), POOL)
        assert set(cast.donors) <= right
    assert len(company.recipients) == len(set(company.recipients)) <= RECIPIENTS
    for row, own in zip(company.recipients, company.classes, strict=True):
        assert summary[row]["correct"]
        assert summary[row]["label"] == own
    assert choose_company(trained, "label") == company


def test_the_first_donors_are_not_the_first_rows(trained):
    """Half by lot, half from the ends of the class: the order of the files tells nothing."""
    (cast, *_) = choose_company(trained, "label").casts
    assert cast.donors[:10] != tuple(sorted(cast.donors))[:10]

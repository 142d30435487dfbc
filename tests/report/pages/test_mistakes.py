import pyarrow.compute as pc

from pipeline.report.pages.mistakes import read_mistakes


def test_the_most_confident_mistakes_of_every_class_come_first(run):
    table = run.summary().to_table(filter=~pc.field("correct")).to_pandas()
    found = read_mistakes(run, 3)
    assert found.keys() == set(table["label"].dropna().astype(int))
    for label, ranked in found.items():
        expected = (
            table[table["label"] == label]
            .sort_values(["confidence", "row"], ascending=[False, True])
            .head(3)
        )
        assert [row for row, _ in ranked] == expected["row"].tolist()
        assert [sure for _, sure in ranked] == expected["confidence"].tolist()


def test_quarantined_and_right_images_are_no_mistakes(run):
    good = set(run.summary().to_table(filter=pc.field("correct"))["row"].to_pylist())
    unusable = set(run.summary().to_table(filter=pc.field("status") != 1)["row"].to_pylist())
    rows = {row for ranked in read_mistakes(run, 1000).values() for row, _ in ranked}
    assert rows
    assert not rows & (good | unusable)

"""Scores as tables to read."""

from pipeline.audit.evaluation.metrics import MODEL
from pipeline.audit.evaluation.scores import scores_table
from pipeline.audit.evaluation.tables import as_markdown, as_text
from pipeline.audit.evaluation.tally import Key, Tally


def table(*fills):
    tally = Tally()
    for name, value in (("edges", 0.1), ("daam", 0.8), ("occlusion", None)):
        for fill in fills:
            tally.score(Key(name, "deletion", fill), [0.2, 0.3])
            if value is not None:
                tally.score(Key(name, "rank_correlation", fill), [value, value + 0.1])
    tally.score(Key(MODEL, "pairs_used"), [1.0, 1.0])
    tally.score(Key("daam", "lift", layer=0), [2.0, 2.5])
    return scores_table(tally)


def test_the_reference_comes_first_and_then_the_closest():
    lines = as_markdown(table("mean")).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| occlusion", "| daam", "| edges"]
    assert lines[0] == "| map | rank correlation with occlusion ↑ | deletion ↓ |"
    assert lines[2].startswith("| occlusion | – | 0.25 (")


def test_fills_are_named_where_there_are_several():
    heading = as_markdown(table("mean", "blur")).splitlines()[0]
    assert "deletion, blur ↓ | deletion, mean ↓" in heading


def test_text_has_a_block_for_every_metric():
    blocks = as_text(table("mean")).split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == [
        "rank correlation with occlusion ↑",
        "deletion ↓",
    ]
    assert blocks[0].splitlines()[1].startswith("  daam   0.85 (")

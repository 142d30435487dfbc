from dataclasses import replace

from pipeline.audit.causal.confirmation import LEVEL, Confirmation
from pipeline.audit.causal.confirmations_table import (
    CONFIRMATIONS_SCHEMA,
    confirmations_table,
    verdict_sentence,
)
from pipeline.audit.causal.suspects import Suspect
from pipeline.audit.stats.intervals import Rate

SUSPECT = Suspect(0, 1, "border", (3,), (), (), (), (7,))
COUNTS = ((180, 200), (170, 190), (0, 0), (2, 200), (30, 40), (4, 200))
CONFIRMATION = Confirmation(SUSPECT, *(Rate(*pair, LEVEL) for pair in COUNTS))


def test_a_test_without_images_has_no_rate_and_a_lead_that_is_not_proven_no_finding():
    table = confirmations_table([CONFIRMATION, CONFIRMATION], [4, None], ("cat", "dog"))
    assert table.schema.equals(CONFIRMATIONS_SCHEMA)
    assert table["finding"].to_pylist() == [4, None]
    row = table.to_pylist()[0]
    assert (row["class"], row["class_name"], row["place"], row["cells"]) == (1, "dog", "border", 1)
    assert (row["verdict"], row["pasted_rate"], row["mirrored_rate"]) == ("used", 0.9, None)
    assert (row["mirrored_low"], row["mirrored_high"]) == (0.0, 1.0)


def test_the_sentence_says_what_pasting_and_erasing_did():
    sentence = verdict_sentence(CONFIRMATION, "dog\x1b")
    assert sentence == (
        "The model uses the border of “dog\\x1b”. Pasting this patch (1 cell) onto 200 other "
        "images turned 90 % of them into “dog\\x1b”; control patches turned 1 %. Erasing it "
        "changed the answer of 75 % of 40 images that look there, and 2 % of 200 images that do "
        "not look there."
    )
    two = replace(CONFIRMATION, suspect=replace(SUSPECT, cells=(7, 8)))
    assert "(2 cells)" in verdict_sentence(two, "dog")


def test_controls_that_did_nothing_turned_none():
    nothing = replace(CONFIRMATION, random=Rate(0, 200, LEVEL), plain=Rate(0, 200, LEVEL))
    sentence = verdict_sentence(nothing, "dog")
    assert "control patches turned none." in sentence
    assert "and none of 200 images" in sentence


def test_what_was_not_tested_is_said():
    none = Rate(0, 0, LEVEL)
    sentence = verdict_sentence(replace(CONFIRMATION, pasted=none, erased=none), "dog")
    assert "There was nothing to paste. There was no image to erase it from." in sentence

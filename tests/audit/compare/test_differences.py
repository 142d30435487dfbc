import numpy as np
import pytest

from pipeline.audit.compare.differences import legibility, mark_headlines, means_differ


def row(statistic, psi, *, number=0, sentence="said"):
    return {"class": number, "statistic": statistic, "psi": psi, "sentence": sentence}


def test_a_place_leads_and_the_strongest_follow():
    rows = [
        row("gini_l03", 9.0),
        row("entropy_flow", 3.0),
        row("corner_tl_flow", 0.5),
        row("border_flow", 0.7),
        row("mass_flow", 4.0, sentence=None),
    ]
    (headline,) = mark_headlines(rows)
    assert headline["statistic"] == "border_flow"
    assert headline["supporting"] == "gini_l03, entropy_flow, corner_tl_flow"
    assert [bool(item.get("headline")) for item in rows] == [False, False, False, True, False]


def test_the_whole_leads_the_classes_and_the_largest_those():
    rows = [
        row("border_flow", 1.0, number=3),
        row("border_flow", 2.0, number=1),
        row("gini_l00", 0.3, number=None),
    ]
    assert [item["class"] for item in mark_headlines(rows)] == [None, 1, 3]


def test_columns_of_layers_are_read_last():
    mixed = ["gini_flow", "corner_br_l00", "corner_br_flow", "area90_flow"]
    ranked = ["corner_br_flow", "area90_flow", "gini_flow", "corner_br_l00"]
    assert sorted(mixed, key=legibility) == ranked
    assert legibility("prefix_mass_l11") == legibility("mass_l00")
    assert legibility("convergence_depth") == legibility("entropy_flow")


@pytest.mark.parametrize(
    ("value", "control", "shift", "differ"),
    [
        (1.0, 2.0, 0.9, True),
        (2.0, 1.0, -0.9, True),
        (0.0592, 0.0566, -0.95, False),
        (1.0, 2.0, 0.1, False),
        (1.0, 2.0, -0.9, False),
        (0.0, 0.0, 0.0, False),
    ],
)
def test_means_are_quoted_only_where_they_show_the_difference(value, control, shift, differ):
    assert bool(means_differ(value, control, np.float64(shift))) is differ

import re

import pytest

from pipeline.audit.shortcuts.carriers import Carriers
from pipeline.audit.shortcuts.detection import Shortcut, Signal
from pipeline.audit.shortcuts.sentences import sentence
from pipeline.audit.stats.estimates import FAR, LOOKING, STATISTICS


@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda statistic: statistic.name)
def test_every_number_of_a_sentence_is_the_findings_own(statistic):
    signal = Signal(statistic, 3, 4.1267, 0.31512, 7.444, 12.34, 3.21e-7, 248)
    said = sentence(Shortcut(signal, ()), ["a", "b", "c", "traffic light"])
    numbers = {float(text) for text in re.findall(r"\d+(?:\.\d+)?", said)}
    share = statistic.aspect == "share"
    assert numbers == {413 if share else 4.13, 31.5 if share else 0.315}
    assert "“traffic light”" in said
    assert said.endswith(".")


@pytest.mark.parametrize("lift", [FAR, LOOKING, 2.0])
def test_the_count_that_carries_it_leads(lift):
    (statistic,) = (item for item in STATISTICS if item.name == "corner_tl_flow_tail")
    signal = Signal(statistic, 0, 4.1267, 0.31512, 7.444, 12.34, 3.21e-7, 250)
    said = sentence(Shortcut(signal, ()), ["disc"], Carriers(63, 250, 0.004, lift))
    assert said.startswith("63 of 250 images of “disc” look")
    assert "top-left corner" in said
    assert "0.4 % of all other images" in said
    assert "4.13" not in said


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("corner_br_flow_level", "the bottom-right corner"),
        ("border_flow_tail", "the border"),
        ("corner_tl_flow_share", "almost only at the top-left corner"),
        ("mass_confident_level", "confident"),
        ("convergence_depth_level", "settled early"),
    ],
)
def test_a_sentence_names_the_mechanism(name, words):
    (statistic,) = (item for item in STATISTICS if item.name == name)
    assert words in sentence(Shortcut(Signal(statistic, 0, 1, 1, 1, 9, 0.001, 100), ()), ["cat"])


def test_an_echo_names_its_source():
    (statistic,) = (item for item in STATISTICS if item.name == "corner_tl_flow_tail")
    signal = Signal(statistic, 1, 2.2, 0.5, 3.7, 9, 0.001, 100)
    said = sentence(Shortcut(signal, (), source=0), ["cat", "dog"])
    assert said.startswith(sentence(Shortcut(signal, ()), ["cat", "dog"]))
    assert "“cat” looks there far more" in said

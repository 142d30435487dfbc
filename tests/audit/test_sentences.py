import re

import pytest

from pipeline.audit.readings import STATISTICS
from pipeline.audit.sentences import KINDS, sentence
from pipeline.audit.shortcut import Finding, Signal


@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda statistic: statistic.name)
def test_every_number_of_a_sentence_is_the_findings_own(statistic):
    signal = Signal(statistic, 3, 4.1267, 0.31512, 7.444, 12.34, 3.21e-7, 248)
    said = sentence(Finding(signal, ()), "traffic light")
    numbers = {float(text) for text in re.findall(r"\d+(?:\.\d+)?(?:e-\d+)?", said)}
    assert numbers == {4.13, 0.315, 7.4, 12.3, 3e-7, 248}
    assert said.startswith("“traffic light” ")
    assert said.endswith(".")
    assert statistic.kind in KINDS


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("corner_br_flow_level", "the bottom-right corner"),
        ("border_flow_tail", "the border"),
        ("mass_confident_level", "confident"),
        ("convergence_depth_level", "layers earlier"),
    ],
)
def test_a_sentence_names_the_mechanism(name, words):
    (statistic,) = (item for item in STATISTICS if item.name == name)
    assert words in sentence(Finding(Signal(statistic, 0, 1, 1, 1, 9, 0.001, 100), ()), "cat")

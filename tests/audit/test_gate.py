import pytest

from pipeline.audit.finding import Finding
from pipeline.audit.findings_table import findings_table
from pipeline.audit.gate import AUDITED, Gate
from pipeline.errors import ConfigError, GateClosed

RARE = Finding("rare", 0, "x", 1, 1, "high", "First.")
FAULT = Finding("fault", None, "x", 1, 1, "medium", "Second.")
FOUND = findings_table([RARE, FAULT, FAULT])


@pytest.mark.parametrize("names", ["", "drift", "cluster, outlier"])
def test_a_gate_lets_other_kinds_pass(names):
    Gate.of(names).check(FOUND)
    Gate.of("any").check(FOUND.slice(3))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("shortcut", "^rare: First.$"),
        ("drift,fault", r"^fault: Second. \(and 1 more\)$"),
        ("any", r"^rare: First. \(and 2 more\)$"),
    ],
)
def test_a_gate_closes_with_the_gravest_sentence(names, said):
    with pytest.raises(GateClosed, match=said):
        Gate.of(names).check(FOUND)


def test_a_kind_that_does_not_exist_is_told_before_anything():
    with pytest.raises(ConfigError, match="shortcutt; choose from shortcut"):
        Gate.of("shortcutt")


def test_a_gate_on_what_a_command_never_finds_is_refused():
    """It would stay open for ever and look like a passed check."""
    with pytest.raises(ConfigError, match="drift; choose from shortcut"):
        Gate.of("shortcut,drift", AUDITED)
    with pytest.raises(GateClosed):
        Gate.of("any", AUDITED).check(FOUND)

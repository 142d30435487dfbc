"""The support matrix: every cell exact or refused, and the committed table current."""

import functools
import re

import pytest

from tests.flows.families import FAMILIES
from tests.flows.support import COLUMNS, PATH, Cell, row, table


@functools.cache
def cells(family) -> list[Cell]:
    return row(family)


HERE = [family for family in FAMILIES if family.available]


def lines(text: str, absent: set[str]) -> list[str]:
    """The lines of a table that are not of families whose library is not installed."""
    named = [(f"| {name} |", f"- **{name}**") for name in absent]
    return [line for line in text.splitlines() if not line.startswith(tuple(sum(named, ())))]


@pytest.mark.parametrize("family", HERE, ids=lambda family: family.name)
def test_every_method_is_exact_or_refuses_with_a_way_out(family):
    for column, found in zip(COLUMNS, cells(family), strict=True):
        if found.refusal is None:
            assert found.error <= column.tolerance
        else:
            assert re.search(r"\b(use|give|load|call) ", found.refusal), found.refusal


def test_the_committed_table_is_current():
    found = table({family.name: cells(family) for family in HERE})
    absent = {family.name for family in FAMILIES if not family.available}
    committed = lines(PATH.read_text(encoding="utf-8"), absent)
    assert lines(found, set()) == committed, "run python -m tests.flows.support"

import csv
import io
import json

import pytest

from pipeline.audit.finding import Finding
from pipeline.audit.findings_table import findings_table
from pipeline.audit.formats import FORMATS, as_csv, as_json, as_markdown, as_text

HOSTILE = "a|b `c`\n<img> [x](y) \\ *d*"
FOUND = findings_table(
    [
        Finding(
            *("rare", 0, "corner_tl_flow_share", 0.1 + 0.2, 40, "high", f"“{HOSTILE}” looks."),
            class_name=HOSTILE,
            columns=("corner_tl_flow",),
            supporting=("corner_tl_flow_tail", "mass_confident_level"),
        ),
        Finding("fault", None, "phash", 2, 4, "medium", 'He said "no", twice.'),
    ]
)


def named(name):
    """The table of a finding of a class with a name."""
    return findings_table([Finding("rare", 0, "x", 0.1, 40, "high", "A sentence.", name)])


def test_text_is_a_line_each():
    assert as_text(FOUND.slice(1)) == '- He said "no", twice.'
    assert as_text(FOUND.slice(2)) == "no finding"


def test_markdown_keeps_its_table_whatever_a_class_is_called():
    lines = as_markdown(FOUND).split("\n")
    assert len(lines) == 4
    for line in lines:
        assert line.replace("\\|", "").count("|") == 5
    assert "\\<img\\> \\[x\\](y) \\\\ \\*d\\*" in lines[2]
    assert as_markdown(FOUND.slice(2)) == "No finding."


def test_json_and_csv_give_the_table_back():
    assert json.loads(as_json(FOUND)) == FOUND.to_pylist()
    rows = list(csv.DictReader(io.StringIO(as_csv(FOUND))))
    told = [sentence.replace("\n", r"\n") for sentence in FOUND["sentence"].to_pylist()]
    assert [row["sentence"] for row in rows] == told
    assert float(rows[0]["value"]) == 0.1 + 0.2
    assert rows[1]["class"] == ""
    assert [row["supporting"] for row in rows] == ["corner_tl_flow_tail, mass_confident_level", ""]


@pytest.mark.parametrize("name", ["json", "csv"])
@pytest.mark.parametrize("hostile", ["\x1b[2J", "\u202etxt", "two\nlines", "\x9b31m"])
def test_no_terminal_obeys_a_name(name, hostile):
    said, plain = (FORMATS[name](named(own)) for own in (hostile, "plain"))
    assert hostile not in said
    assert said.count("\n") == plain.count("\n")
    if name == "json":
        assert json.loads(said)[0]["class_name"] == hostile


@pytest.mark.parametrize("name", ["=1+1|cmd", "+1", "-1", "@x"])
def test_no_spreadsheet_computes_a_name(name):
    (row,) = csv.DictReader(io.StringIO(as_csv(named(name))))
    assert row["class_name"] == f"'{name}"


@pytest.mark.parametrize("name", FORMATS)
def test_no_finding_is_no_error(name):
    assert isinstance(FORMATS[name](FOUND.slice(2)), str)

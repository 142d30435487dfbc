"""The findings as text, Markdown, JSON or CSV, for people, pull requests and gates."""

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
from pyarrow import csv

from pipeline.audit.text.quoting import is_invisible, visible


def as_text(findings: pa.Table) -> str:
    """Return one line per finding, or that there is none."""
    sentences = findings["sentence"].to_pylist()
    return "\n".join(f"- {sentence}" for sentence in sentences) or "no finding"


def as_markdown(findings: pa.Table) -> str:
    """Return a table with a row per finding; text that comes from the data is escaped."""
    lines = ["| finding | kind | severity | what |", "| --- | --- | --- | --- |"]
    for row in findings.to_pylist():
        cells = (row["finding"], row["kind"], row["severity"], _escape(row["sentence"]))
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) if findings.num_rows else "No finding."


def as_json(findings: pa.Table) -> str:
    """Return a list with an object per finding; invisible characters are escaped."""
    text = json.dumps(findings.to_pylist(), ensure_ascii=False, indent=1)
    return "".join(c if c == "\n" or not is_invisible(c) else json.dumps(c)[1:-1] for c in text)


def as_csv(findings: pa.Table) -> str:
    """Return a header and a line per finding; items of a list are joined by commas.

    Names from the data are written as in sentences. One that a spreadsheet would compute as a
    formula gets an apostrophe before it.
    """
    for place, field in enumerate(findings.schema):
        if pa.types.is_string(field.type) or pa.types.is_list(field.type):
            cells = [_cell(value) for value in findings[field.name].to_pylist()]
            findings = findings.set_column(place, field.name, pa.array(cells, pa.string()))
    buffer = io.BytesIO()
    csv.write_csv(findings, buffer)
    return buffer.getvalue().decode().rstrip("\n")


FORMATS: Mapping[str, Callable[[pa.Table], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "json": as_json,
    "csv": as_csv,
}

_MARKED = str.maketrans({mark: f"\\{mark}" for mark in "\\|`*_[]<>"} | {"\n": " "})


def _cell(value: str | list[str] | None) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else ", ".join(value)
    return f"'{visible(text)}" if text.startswith(("=", "+", "-", "@")) else visible(text)


def _escape(text: Any) -> str:
    return str(text).translate(_MARKED)

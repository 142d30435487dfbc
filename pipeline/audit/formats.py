"""The findings as text, Markdown, JSON or CSV, for people, pull requests and gates."""

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
from pyarrow import csv


def as_text(findings: pa.Table) -> str:
    """Return one line per finding, or that there is none."""
    sentences = findings["sentence"].to_pylist()
    return "\n".join(f"- {sentence}" for sentence in sentences) or "no finding"


def as_markdown(findings: pa.Table) -> str:
    """Return a table with a row per finding; text that comes from the data is escaped."""
    lines = ["| finding | kind | severity | what |", "| --- | --- | --- | --- |"]
    for entry in findings.to_pylist():
        cells = (entry["finding"], entry["kind"], entry["severity"], _escape(entry["sentence"]))
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) if findings.num_rows else "No finding."


def as_json(findings: pa.Table) -> str:
    """Return a list with an object per finding."""
    return json.dumps(findings.to_pylist(), ensure_ascii=False, indent=1)


def as_csv(findings: pa.Table) -> str:
    """Return a header and a line per finding."""
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


def _escape(text: Any) -> str:
    return str(text).translate(_MARKED)

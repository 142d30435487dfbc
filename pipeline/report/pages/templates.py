"""Pages: templates filled with the contents of a run. Every text is data, never markup."""

import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.audit.text import numbers
from pipeline.nouns import counted
from pipeline.report.pages.verdicts import LEAD_RULE, RULE, SCREENED_RULE, STATES, state_of

TABLE_ASSETS = ("images.css", "images.js")
"""Of the page that lists all images."""
ASSETS = (
    "report.css",
    "pictures.css",
    "opening.css",
    "lightbox.css",
    "heads.css",
    "report.js",
    "opening.js",
    "lightbox.js",
    "heads.js",
)


@dataclass(frozen=True)
class Page:
    """A page's place and what its template needs to link from there."""

    path: str
    """Relative to the report's folder."""
    template: str

    @property
    def root(self) -> str:
        """The way from the page back to the report's folder."""
        return "../" * self.path.count("/")


INDEX = Page("index.html", "index.html")
IMAGES = Page("images.html", "images.html")
EVALUATION = Page("evaluation.html", "evaluation.html")
HEADS = Page("heads.html", "heads.html")
PAIRS = Page("pairs.html", "pairs.html")


def class_page(class_id: int) -> Page:
    """Return the page of a class; its file name is the id, never the name."""
    return Page(f"classes/{class_id:d}.html", "class.html")


def finding_page(rank: int) -> Page:
    """Return the page of a finding; its number is that of the audit, from 0."""
    return Page(f"findings/{rank:d}.html", "finding.html")


def row_page(row: int) -> Page:
    """Return the page of a row."""
    return Page(f"rows/{row:d}.html", "row.html")


def comparison_page(number: int) -> Page:
    """Return the page of a comparison, counted from 0."""
    return Page(f"comparisons/{number + 1:d}.html", "comparison.html")


def fill(page: Page, contents: dict[str, Any]) -> bytes:
    """Return a page as UTF-8; characters that have no encoding become question marks."""
    text = _environment().get_template(page.template).render(page=page, **contents)
    return text.encode("utf-8", "replace")


def asset(name: str) -> bytes:
    """Return a file that all pages share."""
    return resources.files("pipeline.report").joinpath("assets", name).read_bytes()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "bound": bound,
        "counted": counted,
        "integer": integer,
        "percent": percent,
        "figure": figure,
        "times": times,
        "depth": depth,
        "apart": apart,
        "diverges": diverges,
        "sortable": sortable,
    }
    environment.globals |= {
        "class_path": lambda class_id: class_page(class_id).path,
        "finding_path": lambda rank: finding_page(rank).path,
        "row_path": lambda row: row_page(row).path,
        "styles": [name for name in ASSETS if name.endswith(".css")],
        "scripts": [name for name in ASSETS if name.endswith(".js")],
        "state_of": state_of,
        "state_words": STATES,
        "rule": RULE,
        "lead_rule": LEAD_RULE,
        "screened_rule": SCREENED_RULE,
        "comparison_path": lambda number: comparison_page(number).path,
    }
    return environment


def bound(sentence: str) -> str:
    """Return a sentence whose lines do not end between a number and its sign: 25 %."""
    return sentence.replace(" %", "\u00a0%")


def integer(value: int) -> str:
    """Group thousands: 1,281,167."""
    return f"{value:,d}"


def percent(value: float | None) -> str:
    """Show a share as sentences do; a dash where it is undefined."""
    return "–" if value is None or not math.isfinite(value) else numbers.percent(value)


def figure(value: float | None) -> str:
    """Show a number as sentences do; a dash where it is undefined."""
    return "–" if value is None or not math.isfinite(value) else numbers.figure(value)


def times(value: float | None) -> str:
    """Show a lift, a multiple of what a uniform map has."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.2f} ×"


def depth(value: float) -> str:
    """Show a mean number of layers with one decimal."""
    return f"{value:.1f}" if math.isfinite(value) else "–"


def apart(value: float) -> str:
    """Show a distance to the class mean, in [0, 1]."""
    return f"distance {value:.2f}"


def diverges(value: float | None) -> str:
    """Show how far two flows of an image are apart, in [0, 1]; nothing where there is one."""
    return "" if value is None or not math.isfinite(value) else f"divergence {value:.2f}"


def sortable(value: float) -> str:
    """Return a number for scripts to compare; empty where it is undefined."""
    return repr(float(value)) if math.isfinite(value) else ""

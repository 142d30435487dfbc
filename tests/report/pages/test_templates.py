import math
import re
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.pages.templates import (
    ASSETS,
    INDEX,
    apart,
    asset,
    bound,
    class_page,
    depth,
    figure,
    integer,
    percent,
    row_page,
    sortable,
    times,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5, "0.5"),
        (1.664, "1.66"),
        (600.4, "600"),
        (9999, "9,999"),
        (12345.0, "12,345"),
        (-0.000123, "-1.23·10⁻⁴"),
        (math.nan, "–"),
        (None, "–"),
        (math.inf, "–"),
    ],
)
def test_figure(value, text):
    assert figure(value) == text


@given(st.floats(1e-3, 9.99e3))
def test_figure_keeps_three_digits(value):
    assert float(figure(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


def test_other_numbers():
    assert integer(1281167) == "1,281,167"
    assert percent(0.8931) == "89.3 %"
    assert percent(None) == percent(math.nan) == "–"
    assert times(1.1) == "1.10 ×"
    assert times(math.nan) == depth(math.nan) == "–"
    assert depth(0.776) == "0.8"
    assert apart(0.123) == "distance 0.12"
    assert sortable(math.nan) == ""
    assert float(sortable(1 / 3)) == 1 / 3


def test_pages_know_the_way_home():
    assert (INDEX.path, INDEX.root) == ("index.html", "")
    assert (class_page(7).path, class_page(7).root) == ("classes/7.html", "../")
    assert (row_page(7).path, row_page(7).root) == ("rows/7.html", "../")


def test_no_template_switches_escaping_off():
    folder = resources.files("pipeline.report").joinpath("templates")
    sources = {item.name: item.read_text() for item in folder.iterdir()}
    assert sources.keys() >= {"base.html", "index.html", "class.html", "parts.html"}
    for source in sources.values():
        assert not re.search(r"\|\s*safe|autoescape|Markup", source)


def test_assets_ask_nobody_for_anything():
    for name in ASSETS:
        source = asset(name).decode()
        assert not re.search(r"https?:|//[a-z]|@import|@font-face|fetch\(|XMLHttp", source)


def test_a_line_does_not_end_before_a_percent_sign():
    assert bound("25 % and 43.8 %.") == "25\u00a0% and 43.8\u00a0%."

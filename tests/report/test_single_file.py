import re
from pathlib import Path

import pytest

from pipeline.report.single_file import PATH, write_single_file
from tests.report.reported import HOSTILE, NAMES, TAGGED
from tests.report.test_report import Reader


@pytest.fixture(scope="module")
def page(run):
    assert write_single_file(run) == PATH
    return Reader(Path(run.uri) / PATH)


def test_every_finding_and_class_is_an_article_once(run, page):
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    articles = [name for name in ids if name.startswith("page-") and name.count("-") <= 2]
    expected = {"page-index"} | {f"page-classes-{number}" for number in range(len(NAMES))}
    expected |= {f"page-findings-{number}" for number in run.findings()["finding"].to_pylist()}
    assert expected <= set(articles)


def test_it_needs_nothing_beside_it(page):
    ids = set(page.values("id"))
    for target in page.values("href"):
        assert target in ("#", "data:,") or target[1:] in ids, target
    assert all(source.startswith("data:image/") for source in page.values("src"))
    assert not [attrs for tag, attrs in page.elements if tag == "link" and "stylesheet" in attrs]
    text = "".join(re.findall(r"url\(([^)]*)\)", page.text))
    assert "assets/" not in text


def test_names_stay_text(page):
    assert HOSTILE in page.text
    assert not [attrs for tag, attrs in page.elements if tag == "img" and attrs["src"] == "x"]
    assert not [key for _, attrs in page.elements for key in attrs if key.startswith("on")]


def test_links_between_pages_lead_inside(page):
    hrefs = page.values("href")
    assert f"#page-classes-{TAGGED}" in hrefs
    assert "#page-findings-0" in hrefs
    assert "#index" not in hrefs

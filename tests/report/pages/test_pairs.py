"""The page of pairs: two photographs, and lines between their patches."""

import re
import xml.etree.ElementTree as ET

import pyarrow as pa
import pytest

from pipeline.atlas import aggregate
from pipeline.audit import audit
from pipeline.audit.pairs.schema import FOLDER, PAIRS_SCHEMA
from pipeline.report import write_report
from pipeline.report.pages.pairs import GAP, HEIGHT, THICKEST, THINNEST, read_pairs
from pipeline.store.parquet import parquet_bytes
from tests.report.reported import drawn_run

GRID = (3, 4)


def pair(number, query, gallery, uris, **changes):
    shares = [0.5, 0.25, 0.0625]
    row = {
        **dict.fromkeys(PAIRS_SCHEMA.names),
        "pair": number,
        "query": query,
        "gallery": gallery,
        "query_uri": uris[query],
        "gallery_uri": uris[gallery],
        "similarity": 0.6,
        "query_reference": 0.1,
        "gallery_reference": 0.2,
        "references": 0.4,
        "attributed": 0.701,
        "patches": 0.5,
        "positive": 0.8,
        "error": 0.00167,
        "complete": True,
        "steps": 12,
        "height": 3,
        "width": 4,
        "query_map": [0.1, -0.2, *[0.05] * 10],
        "gallery_map": [0.0] * 11 + [0.3],
        "query_patches": [0, 5, 11],
        "gallery_patches": [11, 0, 4],
        "values": [0.8 * share for share in shares],
        "shares": shares,
    }
    return row | changes


def unexplained(number, query, gallery, uris):
    kept = pair(number, query, gallery, uris)
    known = ("pair", "query", "gallery", "query_uri", "gallery_uri")
    return {name: kept[name] if name in known else None for name in kept} | {"reason": "truncated"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = drawn_run(tmp_path_factory.mktemp("pairs") / "run", images=80)
    aggregate(run)
    audit(run)
    write_report(run)
    assert not run.exists("report/pairs.html")
    assert "pairs.html" not in run.read("report/index.html").decode()
    uris = run.index()["uri"].to_pylist()
    rows = [
        pair(0, 2, 3, uris),
        pair(1, 5, 7, uris, complete=False, error=0.2, steps=108),
        unexplained(2, 2, 8, uris),
        *(pair(number, 2, 3, uris) for number in range(3, 30)),
    ]
    run.write(
        f"{FOLDER}/twins.parquet", parquet_bytes(pa.Table.from_pylist(rows, schema=PAIRS_SCHEMA))
    )
    run.write(f"{FOLDER}/old.parquet", parquet_bytes(pa.table({"pair": [1]})))
    write_report(run)
    return run


@pytest.fixture(scope="module")
def page(run):
    return run.read("report/pairs.html").decode()


def drawings(page):
    return [ET.fromstring(svg) for svg in re.findall(r'<svg class="both".*?</svg>', page, re.S)]


def test_the_first_pairs_of_a_table_are_shown_and_a_table_of_another_version_is_not(run, page):
    (table,) = read_pairs(run).tables
    assert (table.name, len(table.pairs), table.in_all) == ("twins", 24, 30)
    assert table.sentence.startswith("29 of 30 pairs explained; 28 of them complete, the largest")
    assert read_pairs(run).rows == {2, 3, 5, 7, 8}
    assert "The first 24 are shown; <code>audit/pairs/twins.parquet</code> has all." in page
    assert 'href="pairs.html"' in run.read("report/index.html").decode()


def test_sentences_have_the_numbers_of_the_row(run):
    (table,) = read_pairs(run).tables
    whole, incomplete, gone = (pair.sentence for pair in table.pairs[:3])
    assert whole == (
        "Similarity 0.6: 0.701 from pairs of tokens (0.5 from patches alone) and -0.1 from the "
        "reference; 0.17 % missing after 12 steps."
    )
    assert incomplete.endswith("not complete, 20 % missing after 108 steps.")
    assert gone == "Not explained."


def test_lines_join_the_centres_of_patches_and_are_wide_by_their_share(run):
    wide = HEIGHT * 128 / 96
    (table,) = read_pairs(run).tables
    weakest, middle, strongest = table.pairs[0].lines
    assert strongest.ends == pytest.approx(
        (wide / 8, HEIGHT / 6, wide + GAP + wide * 7 / 8, HEIGHT * 5 / 6), abs=1e-3
    )
    assert middle.ends[:2] == pytest.approx((wide * 3 / 8, HEIGHT / 2), abs=1e-3)
    assert strongest.width == THICKEST
    assert weakest.width == pytest.approx(THINNEST + (THICKEST - THINNEST) / 8, abs=1e-3)
    assert strongest.words == (
        "50 % of what speaks for the similarity: row 1, column 1 and row 3, column 4"
    )


def test_every_line_can_be_reached_by_keyboard_and_says_what_it_is(page):
    first, _, gone = drawings(page)[:3]
    lines = [node for node in first if node.get("class") == "line"]
    assert len(lines) == 3
    for node in lines:
        assert node.get("tabindex") == "0"
        assert node.get("role") == "img"
        assert node.find("title").text == node.get("aria-label")
    assert [node.get("class") for node in gone if node.get("class") == "line"] == []
    assert "truncated" in page


def test_photographs_are_part_of_the_drawing_and_lost_ones_leave_a_note(run, page):
    first, second, _ = drawings(page)[:3]
    (left, right) = first.findall("image")
    for image in (left, right):
        assert run.exists(f"report/{image.get('href')}")
    assert float(right.get("x")) == pytest.approx(HEIGHT * 128 / 96 + GAP)
    assert "not readable now: missing" in " ".join(second.itertext())
    for row in (2, 3):
        assert run.exists(f"report/rows/{row}.html")
    assert run.exists("report/assets/pairs/1.webp")


def test_the_page_goes_with_its_table(run, page):
    run.delete(f"{FOLDER}/twins.parquet")
    write_report(run)
    assert not run.exists("report/pairs.html")
    assert not run.list("report/assets/pairs")

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.atlas import aggregate
from pipeline.audit import audit
from pipeline.audit.findings_table import EVIDENCE
from pipeline.errors import RunIncomplete
from pipeline.report import write_report
from pipeline.report.pages.mistakes import read_mistakes
from pipeline.report.pages.templates import bound, figure
from pipeline.store import open_run
from pipeline.store.layout import summary_path
from pipeline.store.parquet import parquet_bytes
from tests.atlas.synthetic import synthetic_run
from tests.report.reported import HOSTILE, NAMES, TAGGED, drawn_run, fates

VOID = {"meta", "link", "img", "input", "br", "line", "polyline", "polygon", "rect", "circle"}


class Reader(HTMLParser):
    """Collects elements and text; complains about tags that do not nest."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text += data

    def values(self, name: str) -> list[str]:
        return [attrs[name] for _, attrs in self.elements if name in attrs]


@pytest.fixture(scope="module")
def pages(report):
    return {path.relative_to(report).as_posix(): Reader(path) for path in report.rglob("*.html")}


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_there_is_a_page_for_every_class_and_its_name_is_a_number(pages):
    expected = {f"classes/{number}.html" for number in range(len(NAMES))}
    found = {name for name in pages if name.startswith(("findings/", "rows/", "comparisons/"))}
    assert pages.keys() - found == {"index.html", "images.html"} | expected


def test_a_class_page_tells_whether_there_may_be_two_ways_to_look(run, pages):
    atlas = run.atlas("label")
    for position, number in enumerate(atlas.classes.tolist()):
        told = f"bimodality of {figure(atlas.bimodality[position])}"
        assert told in pages[f"classes/{number}.html"].text


def test_a_small_class_says_so_and_no_image_is_typical_and_untypical(tmp_path):
    run = synthetic_run(tmp_path / "run", images=78, classes=3)
    for unit in run.spec.units:
        table = run.table(summary_path(unit.id))
        small = pc.and_(pc.equal(table["label"], 2), pc.greater_equal(table["row"], 24))
        place = table.schema.get_field_index("label")
        moved = pc.if_else(small, pa.scalar(0, pa.int32()), table["label"])
        run.write(summary_path(unit.id), parquet_bytes(table.set_column(place, "label", moved)))
    aggregate(run)
    audit(run)
    write_report(run)
    text = Reader(tmp_path / "run/report/classes/2.html").text
    assert "too few to say which are typical" in text
    assert "bimodality" not in text
    assert "Untypical" not in text
    text = Reader(tmp_path / "run/report/classes/1.html").text
    shown = text.partition("Typical")[2].partition("Wrong")[0]
    typical, _, untypical = shown.partition("Untypical")
    near, far = (set(re.findall(r"row\s(\d+)", part)) for part in (typical, untypical))
    assert len(near) == len(far) == 6
    assert not near & far


def test_every_finding_has_a_page_with_its_evidence(run, pages):
    findings = run.findings()
    assert len([name for name in pages if name.startswith("findings/")]) == len(findings)
    page = pages["findings/0.html"]
    assert bound(findings["sentence"][0].as_py()) in page.text
    rows = run.table("audit/evidence.parquet").filter(pc.field("finding") == 0)["row"]
    for row in rows.to_pylist()[:10]:
        assert re.search(rf"row\s{row}\b", page.text)
    assert "findings/0.html" in pages["index.html"].values("href")


def test_every_row_of_evidence_has_a_page_that_leads_to_its_findings_and_its_class(run, pages):
    shown = run.table(EVIDENCE).to_pylist()
    told = {f"rows/{entry['row']}.html" for entry in shown}
    assert {name for name in pages if name.startswith("rows/")} >= told
    labels = dict(zip(*run.summary().to_table(["row", "label"]).to_pydict().values(), strict=True))
    for entry in shown:
        page, number = pages[f"rows/{entry['row']}.html"], entry["finding"]
        assert f"../rows/{entry['row']}.html" in pages[f"findings/{number}.html"].values("href")
        assert f"../findings/{number}.html#evidence" in page.values("href")
        assert f"../classes/{labels[entry['row']]}.html" in page.values("href")
        assert bound(run.findings()["sentence"][number].as_py()) in page.text


def test_the_first_rows_of_evidence_are_links_wherever_they_are_shown(run, pages):
    rows = run.table(EVIDENCE).filter(pc.field("finding") == 0)["row"].to_pylist()[:6]
    shown = set(pages["findings/0.html"].values("href"))
    assert {f"../rows/{row}.html" for row in rows} <= shown


def test_a_row_tells_its_fate(run, pages):
    told = {fate: pages[f"rows/{row}.html"].text for fate, row in fates(run).items()}
    assert "quarantined, so it has no flow" in told["quarantined"]
    assert "truncated. The file ends early." in told["quarantined"]
    assert "hold no mass" in told["massless"]
    assert "The file is missing." in told["missing"]
    assert "not readable now" in told["missing"]
    assert "not readable now" in told["no image"]
    assert "not readable now" not in told["sound"].partition("Looked at alike")[0]
    for fate, text in told.items():
        assert ("Median" in text) == (fate != "quarantined")
        assert ("Accumulated" in text) == (fate in ("missing", "no image", "sound"))


def test_every_shown_image_opens_and_has_a_page(pages):
    opened = 0
    for name, page in pages.items():
        stacks = [a for tag, a in page.elements if tag == "div" and a.get("class") == "stack"]
        links = [a for tag, a in page.elements if tag == "a" and a.get("class") == "open"]
        assert len(links) == len(stacks) - name.startswith("rows/")
        for link in links:
            details = json.loads(link["data-row"])
            assert link["href"].endswith(f"rows/{details['row']}.html")
            assert f"rows/{details['row']}.html" in pages
            assert len(details["lifts"]) == (details["columns"] if details["heat"] else 0)
            opened += 1
    assert opened > 100


def test_wrong_images_are_on_the_page_of_their_class(run, pages):
    for label, ranked in read_mistakes(run, 6).items():
        text = pages[f"classes/{label}.html"].text
        assert "takes for another class" in text
        for row, _ in ranked:
            assert re.search(rf"row\s{row}\b", text)


def test_numbers_are_beside_the_pages(run, report):
    findings = json.loads((report / "data/findings.json").read_text())
    assert [entry["sentence"] for entry in findings] == run.findings()["sentence"].to_pylist()
    classes = json.loads((report / "data/classes.json").read_text())
    assert {entry["name"] for entry in classes} == set(NAMES)
    assert sum(entry["images"] for entry in classes) == run.atlas("label").count.sum()


def test_pages_of_an_earlier_report_do_not_stay(tmp_path):
    run = drawn_run(tmp_path / "run", images=64)
    aggregate(run)
    audit(run)
    run.write("report/findings/99.html", b"old")
    run.write("report/rows/99.html", b"old")
    run.write("report/notes.txt", b"somebody's own")
    write_report(run)
    assert not run.exists("report/findings/99.html")
    assert not run.exists("report/rows/99.html")
    assert run.read("report/notes.txt") == b"somebody's own"


def test_every_reference_is_a_file_of_the_report(report, pages):
    inside = report.resolve()
    for name, page in pages.items():
        for target in page.values("src") + page.values("href"):
            if target.startswith("#"):
                assert target[1:] in page.values("id"), target
            elif target != "data:,":
                path = (report / name).parent / target.partition("#")[0]
                assert path.is_file(), (name, target)
                assert path.resolve().is_relative_to(inside)


def test_ids_are_unique(pages):
    for page in pages.values():
        assert len(set(page.values("id"))) == len(page.values("id"))


def test_names_are_text_and_never_markup(pages):
    for page in pages.values():
        scripts = [attrs for tag, attrs in page.elements if tag == "script"]
        assert scripts
        assert all(set(script) == {"src", "defer"} for script in scripts)
        assert not [key for _, attrs in page.elements for key in attrs if key.startswith("on")]
        assert not [attrs for tag, attrs in page.elements if tag == "img" and attrs["src"] == "x"]
    assert HOSTILE in pages["index.html"].text
    assert "{{ 7 * 7 }} & {% raw %}" in pages["index.html"].text
    assert "</style></script><script>alert(3)</script>" in pages["classes/7.html"].text


def test_every_picture_has_words(pages):
    for name, page in pages.items():
        photos = [attrs for tag, attrs in page.elements if tag == "img"]
        assert photos or name.startswith("comparisons") or "Evidence" not in page.text
        for attrs in photos:
            assert (attrs["alt"] == "") == (attrs["class"] == "heat")
        for _, attrs in page.elements:
            assert attrs.get("role") != "img" or attrs["aria-label"]


def test_index_tells_the_run(run, pages):
    text = " ".join(pages["index.html"].text.split())
    assert "What synthetic looks at in synthetic" in text
    assert run.findings()["sentence"][0].as_py() in text
    assert "truncated" in text
    assert "not readable now" in text + " ".join(page.text for page in pages.values())


def test_class_page_shows_its_typical_images_and_its_findings(run, pages):
    page = pages[f"classes/{TAGGED}.html"]
    rows, _ = run.atlas("label").typical(TAGGED, 6)
    for row in rows:
        assert re.search(rf"row\s{row}\b", page.text)
    assert bound(run.findings()["sentence"][0].as_py()) in page.text
    assert bound(run.findings()["sentence"][0].as_py()) not in pages["classes/0.html"].text


def test_same_run_elsewhere_gives_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        run = drawn_run(tmp_path / name, images=120)
        aggregate(run)
        audit(run)
        assert write_report(run) == "report/index.html"
    assert tree(tmp_path / "one/report") == tree(tmp_path / "other/report")


def test_a_report_written_again_has_the_same_bytes(run, report):
    before = tree(report)
    write_report(run)
    assert tree(report) == before


def test_clean_run_without_any_image_is_a_report(tmp_path):
    run = synthetic_run(tmp_path / "run", images=120, classes=3, layers=1)
    aggregate(run)
    audit(run)
    write_report(run)
    page = Reader(tmp_path / "run/report/index.html")
    assert "Nothing was found, but too few classes" in page.text
    assert "not readable now" in Reader(tmp_path / "run/report/classes/0.html").text


def test_steps_that_are_missing_are_named(tmp_path):
    run = drawn_run(tmp_path / "run", images=64)
    with pytest.raises(RunIncomplete, match="flowatlas audit"):
        write_report(run)
    (tmp_path / "run/_SUCCESS").unlink()
    with pytest.raises(RunIncomplete, match="not finished"):
        write_report(open_run(str(tmp_path / "run")))


def test_many_classes_are_a_light_index(tmp_path):
    """Of a thousand it would be two megabytes."""
    classes = 200
    layout = {"images": classes, "classes": classes, "unit_rows": 256}
    run = synthetic_run(tmp_path / "run", layers=1, grid=(14, 14), **layout)
    aggregate(run)
    audit(run)
    write_report(run)
    folder = tmp_path / "run/report"
    linked = sum(
        (folder / f"assets/{name}").stat().st_size for name in ("classes.webp", "run.webp")
    )
    assert (folder / "index.html").stat().st_size + linked < 2_000 * classes
    assert len(list((folder / "classes").iterdir())) > 0.8 * classes

"""The report of images with several labels: scores of each label, and no accuracy anywhere."""

import json
import re
from pathlib import Path

import pytest

from pipeline.audit.multi_label.scores import LABELS
from pipeline.report import write_report
from pipeline.report.pages.facts import read_facts
from pipeline.report.pages.labels import read_labels
from pipeline.report.pages.mistakes import read_mistakes
from pipeline.report.pictures.captions import read_captions
from pipeline.store import Run
from tests.audit.multi_label.conftest import by_label, by_prediction, folder  # noqa: F401


@pytest.fixture(params=["by_label", "by_prediction"])
def run(request: pytest.FixtureRequest) -> Run:
    """Return an audited run of images with several labels, with its report."""
    found: Run = request.getfixturevalue(request.param)
    write_report(found)
    return found


def test_no_page_speaks_of_accuracy(run: Run) -> None:
    ends = (".html", ".json", ".txt", ".md")
    pages = [path for path in run.list("report") if path.endswith(ends)]
    assert len(pages) > 5
    for path in pages:
        text = run.read(path).decode()
        assert "ccuracy" not in text, path
        assert "taken for" not in text, path


def test_every_label_has_its_scores(run: Run) -> None:
    page = run.read("report/index.html").decode()
    section = page[page.index('id="labels"') : page.index('id="classes"')]
    lines = read_labels(run)
    assert [line.average_precision for line in lines] == sorted(
        run.table(LABELS)["average_precision"].to_pylist()
    )
    cells = re.findall(r'data-label="(\w[\w ]*)">([^<]*)', section)
    assert [text for name, text in cells if name == "labelled"] == [
        str(line.labelled) for line in lines
    ]
    assert section.count("<tr>") == 1 + len(run.spec.classes)
    assert all(line.company for line in lines)


def test_classes_have_a_recall_or_a_precision(run: Run) -> None:
    rate = "recall" if run.config.flow.target == "label" else "precision"
    scores = {line["class"]: line[rate] for line in run.table(LABELS).to_pylist()}
    records = json.loads(run.read("report/data/classes.json"))
    assert {record["id"]: record[rate] for record in records} == pytest.approx(scores)
    assert f"{rate.capitalize()}</th>" in run.read("report/index.html").decode()


def test_facts_count_images_and_labels(run: Run) -> None:
    facts = read_facts(run)
    index = run.index().to_pandas().drop_duplicates("image")
    assert (facts.images, facts.labels) == (len(index), index["labels"].map(len).sum())
    assert facts.rows == run.spec.rows
    assert facts.accuracy is None


def test_mistakes_are_told_as_what_they_are(run: Run) -> None:
    summary = run.summary().to_table().to_pandas().set_index("row")
    group, word = ("label", "missed") if run.config.flow.target == "label" else (
        "pred", "not labelled")  # fmt: skip
    mistakes = read_mistakes(run, 3, group)
    assert mistakes
    captions = read_captions(run, [row for own in mistakes.values() for row, _ in own])
    for label, own in mistakes.items():
        wrong = summary[(summary[group] == label) & (summary["correct"] == False)]  # noqa: E712
        scores = sorted(wrong["confidence"], reverse=group == "pred")[:3]
        assert [score for _, score in own] == pytest.approx(scores)
        for row, score in own:
            caption = captions[row]
            assert caption.mistake == word
            assert caption.predicted == run.spec.classes[label]
            assert caption.confidence == pytest.approx(score)
            assert (caption.predicted in (caption.label or "").split(", ")) == (word == "missed")
    page = Path(run.uri, "report", "classes", f"{next(iter(mistakes))}.html").read_text()
    assert f"{word}: " in page

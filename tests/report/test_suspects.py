import csv
import io

import pyarrow.compute as pc
import pytest

from pipeline.audit.findings_table import read_findings
from pipeline.report.suspects import SURE, WHOLE, suspects_files, suspects_table


@pytest.fixture(scope="module")
def table(run):
    return suspects_table(run, read_findings(run))


def test_every_image_of_evidence_and_every_sure_mistake_is_a_suspect(run, table):
    lines = table.to_pylist()
    shown = [(row, found.number) for found in read_findings(run) for row in found.rows]
    assert [(line["row"], line["finding"]) for line in lines[: len(shown)]] == shown
    summary = run.summary().to_table().to_pandas().set_index("row")
    wrong = summary[(summary.correct == False) & (summary.confidence >= SURE)]  # noqa: E712
    rest = lines[len(shown) :]
    assert {line["row"] for line in rest} == set(wrong.index)
    assert all(line["reason"] == "sure and wrong" and line["finding"] is None for line in rest)
    assert [line["confidence"] for line in rest] == sorted(wrong.confidence, reverse=True)
    uris = run.index()["uri"].to_pylist()
    assert all(line["uri"] == uris[line["row"]] for line in lines)


def test_files_are_csv_and_parts_of_the_whole(table):
    files = dict(suspects_files(table))
    read = {path: list(csv.DictReader(io.StringIO(text.decode()))) for path, text in files.items()}
    assert len(read[WHOLE]) == table.num_rows
    assert list(read[WHOLE][0]) == [
        *("row", "uri", "label", "prediction", "confidence", "reason", "finding")
    ]
    for number in set(table["finding"].drop_null().to_pylist()):
        part = read[f"report/data/suspects/finding-{number}.csv"]
        assert len(part) == pc.sum(pc.equal(table["finding"], number)).as_py()
        assert {line["finding"] for line in part} == {str(number)}


def test_nothing_suspicious_is_an_empty_file(run, table):
    assert list(dict(suspects_files(table.slice(0, 0)))) == [WHOLE]

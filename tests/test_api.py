import webbrowser
from pathlib import Path

import pytest

from pipeline.atlas import aggregate
from pipeline.audit import audit
from pipeline.errors import RunIncomplete
from pipeline.store import open_run
from tests.atlas.synthetic import synthetic_run


def test_the_report_opens_and_is_written_where_there_is_none(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    run = synthetic_run(tmp_path / "run", images=60, classes=3, layers=1)
    aggregate(run)
    audit(run)
    page = Path(run.uri) / "report" / "index.html"
    assert open_run(run.uri).show_report() == page.as_uri()
    assert page.is_file()
    page.write_text("as it was")
    open_run(run.uri).show_report()
    assert page.read_text() == "as it was"
    assert opened == [page.as_uri()] * 2
    run.delete("report/index.html")
    run.delete("audit/findings.parquet")
    with pytest.raises(RunIncomplete, match="flowatlas audit"):
        open_run(run.uri).show_report()

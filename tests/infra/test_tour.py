"""The notebook is executed, cell by cell, on a run that was audited."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.atlas import aggregate
from pipeline.audit import audit
from tests.report.reported import drawn_run

NOTEBOOK = Path(__file__).parents[2] / "infra" / "tour.ipynb"


def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = drawn_run(tmp_path / "run", images=200)
    aggregate(run)
    audit(run)
    monkeypatch.setenv("FLOWATLAS_RUN", run.uri)
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    cells = ["".join(c["source"]) for c in content["cells"] if c["cell_type"] == "code"]
    for cell in cells:
        *body, last = cell.splitlines()
        exec("\n".join(body), names)
        shown = eval(last, names)
    assert len(cells) >= 5
    assert isinstance(shown, Image.Image)
    assert names["images"].num_rows == run.spec.rows
    assert len(names["worst"]) == 3
    assert all(not c.get("outputs") for c in content["cells"]), "outputs are not kept"

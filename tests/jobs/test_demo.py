import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from jobs.cli import app
from pipeline.store import open_run

pytestmark = pytest.mark.slow


def _demo(folder: Path, *options: str) -> Result:
    result = CliRunner().invoke(app, ["demo", str(folder), "--quick", *options])
    assert result.exception is None, result.output
    assert result.exit_code == 0, result.output
    return result


def _said(result: Result) -> str:
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


def test_the_planted_class_is_the_first_finding(folder):
    said = _said(_demo(folder))
    run = open_run(str(folder / "planted-quick-0" / "run"))
    first = run.findings().to_pylist()[0]
    assert first["class_name"] == "disc"
    assert first["statistic"].startswith("corner_tr_flow")
    assert first["severity"] != "low", "it is no echo of another class"
    assert f"first finding: {first['sentence']}" in said
    assert "put to the test: The model uses the top-right corner of “disc”" in said
    page = folder / "planted-quick-0" / "run" / "report" / "index.html"
    assert "disc" in page.read_text(encoding="utf-8")
    assert "report/index.html" in said
    summary = run.summary().to_table(columns=["correct"])["correct"].to_pylist()
    accuracy = sum(summary) / len(summary)
    assert len(summary) == 400
    assert accuracy > 0.88
    # Training and run compute the logits in different ways: images on the border may cross it.
    (printed,) = re.findall(r"trained from scratch: ([\d.]+)% of the images right", said)
    assert float(printed) / 100 == pytest.approx(accuracy, abs=0.01)


def test_a_second_demo_trains_and_computes_nothing(folder):
    said = _said(_demo(folder))
    assert "model trained earlier" in said
    assert "training:" not in said
    assert "all done earlier" in said
    run = open_run(str(folder / "planted-quick-0" / "run"))
    assert f"first finding: {run.findings()['sentence'][0].as_py()}" in said


def test_the_control_is_silent(folder):
    said = _said(_demo(folder, "--control", "--local"))
    assert "Nothing stood out in the audit." in said
    assert "first finding" not in said
    assert "put to the test" not in said
    assert open_run(str(folder / "control-quick-0" / "run")).findings().num_rows == 0

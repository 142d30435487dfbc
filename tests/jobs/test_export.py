from pathlib import Path

import pytest

from tests.jobs.shell import Done, flowatlas
from tests.report.reported import drawn_run


def export(*arguments: str) -> Done:
    return flowatlas("export", *arguments)


@pytest.mark.parametrize(
    ("tool", "entry"), [("fiftyone", "samples.jsonl"), ("virelay", "project.yaml")]
)
def test_a_run_is_exported(tool: str, entry: str, tmp_path: Path) -> None:
    drawn_run(tmp_path / "run", images=48)
    result = export(str(tmp_path / "run"), str(tmp_path / "out"), "--to", tool, "--images", "2")
    assert result.returncode == 0, result.stderr
    assert str(tmp_path / "out" / entry) in result.stdout
    assert (tmp_path / "out" / entry).is_file()


def test_an_unfinished_run_is_not_exported(tmp_path: Path) -> None:
    drawn_run(tmp_path / "run", images=16)
    (tmp_path / "run/_SUCCESS").unlink()
    result = export(str(tmp_path / "run"), str(tmp_path / "out"))
    assert result.returncode == 1
    assert "not finished" in result.stderr.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_a_file_is_not_a_folder_to_write_into(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    result = export(str(tmp_path), str(tmp_path / "out"))
    assert result.returncode == 2
    assert (tmp_path / "out").read_text() == "mine"

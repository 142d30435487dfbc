from pathlib import Path

import pytest

from pipeline.flows.registry import METHODS
from tests.gpu import check, equality


def test_the_check_runs_on_a_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--device", "cpu", "--quick", "--output", str(tmp_path)]
    failed = check.main(given)
    assert failed == 0, capsys.readouterr().out
    text = {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert text.keys() == {"equality", "ratios", "stages", "run", "steps"}
    for case in equality.cases():
        assert f"| {case.name} |" in text["equality"]
    assert "daam ÷ fwd+bwd" in text["ratios"]
    assert "| commit |" in text["stages"]
    assert "vit_small_patch16_224, recommended" in text["run"]
    assert "| daam, vit_tiny_patch16_224, 4 | float32 | graph |" in text["steps"]
    for part in text.values():
        assert "--device cpu --quick" in part
        assert "nan" not in part


def test_every_method_is_checked() -> None:
    assert {case.method for case in equality.cases()} == METHODS.keys()


def test_a_part_that_fails_is_written_down_and_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(equality, "TOLERANCE", -1.0)
    monkeypatch.setattr(equality, "cases", lambda: [equality.Case("attention")])
    given = ["--device", "cpu", "--quick", "--output", str(tmp_path), "equality"]
    assert check.main(given) == 1
    assert "differ from the CPU: attention" in (tmp_path / "equality.md").read_text()


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check.missing() == []
    monkeypatch.setitem(check.NEEDED, "no_such_module", "no-such-package")
    assert check.missing() == ["no-such-package"]

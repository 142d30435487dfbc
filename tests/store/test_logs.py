from pathlib import Path

import pytest

from pipeline.store import logs, open_store
from pipeline.store.logs import Logs
from tests.chaos.trouble import failing_at_random


def test_texts_are_named_by_time_and_never_overwrite(tmp_path: Path) -> None:
    kept = Logs(open_store(str(tmp_path)))
    paths = [kept.add("retry-unit00000001", f"text {number}") for number in range(3)]
    assert paths == sorted(set(paths), key=str)
    assert [(tmp_path / str(path)).read_text() for path in paths] == ["text 0", "text 1", "text 2"]


def test_a_store_that_takes_no_log_stops_nothing_and_is_asked_once(tmp_path: Path, caplog) -> None:  # type: ignore[no-untyped-def]
    kept = Logs(open_store(str(tmp_path)))
    with failing_at_random(1, seed=0) as trouble:
        assert [kept.add("retry", "text") for _ in range(3)] == [None] * 3
        assert trouble.count == 1
    assert "tracebacks are no longer kept" in caplog.text


def test_no_driver_fills_a_store_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_MOST", 2)
    kept = Logs(open_store(str(tmp_path)))
    assert [kept.add("retry", "text") is None for _ in range(4)] == [False, False, True, True]


def test_values_of_secrets_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "FwoGZXIvYXdzEXAMPLE")
    monkeypatch.setenv("HOME", "/home/somebody")
    path = Logs(open_store(str(tmp_path))).add("retry", "FwoGZXIvYXdzEXAMPLE in /home/somebody")
    assert (tmp_path / str(path)).read_text() == "$AWS_SESSION_TOKEN in /home/somebody"

"""Object stores: which are opened, without their keys, and what is retried."""

from pathlib import Path

import obstore
import pytest

from pipeline.errors import FlowatlasError
from pipeline.files.object_store import open_prefix, open_url, repeated


@pytest.mark.parametrize("url", ["https://host/x", "az://c/x", "nonsense://x"])
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(FlowatlasError, match="s3://, gs://"):
        open_url(url)


def test_stores_do_not_carry_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "hunterkey")
    store = open_url("s3://bucket/run")
    assert "hunter" not in repr(store)
    assert b"hunter" not in store.__reduce_ex__(4).__repr__().encode()


def test_only_what_got_no_answer_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.files.object_store.time.sleep", lambda seconds: None)
    calls: list[str] = []

    @repeated
    def work(message: str, good_after: int) -> str:
        calls.append(message)
        if len(calls) <= good_after:
            raise obstore.exceptions.GenericError(message)
        return "done"

    assert work("connection reset", 3) == "done"
    assert len(calls) == 4
    calls.clear()
    with pytest.raises(obstore.exceptions.GenericError):
        work("status code: 404", 1)
    assert len(calls) == 1
    with pytest.raises(obstore.exceptions.GenericError):
        work("connection reset", 100)


def test_a_folder_is_opened_like_a_prefix(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        open_prefix(str(tmp_path / "run"))
    store = open_prefix(str(tmp_path / "run"), create=True)
    obstore.put(store, "a/b.txt", b"1")
    assert (tmp_path / "run/a/b.txt").read_bytes() == b"1"
    again = open_prefix(f"file://{tmp_path}/run")
    assert bytes(obstore.get(again, "a/b.txt").bytes()) == b"1"

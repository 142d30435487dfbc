"""URLs: which are opened, and which hold what must not be told."""

import io

import obstore
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from pipeline.errors import ConfigError, FlowatlasError
from pipeline.files.remote import (
    RangedFile,
    has_secret,
    is_remote,
    local,
    open_url,
    refuse_secrets,
    repeated,
    shown,
)


@pytest.mark.parametrize(
    ("uri", "secret", "told"),
    [
        ("s3://b/a@b.jpg", False, "s3://b/a@b.jpg"),
        ("s3://u:p@b/a", True, "s3://…b/a"),
        ("https://h/a?sig=p", True, "https://…h/a"),
        ("s3://b/val-?.tar", False, "s3://b/val-?.tar"),
        ("/local/u:p@x?y=z", False, "/local/u:p@x?y=z"),
    ],
)
def test_secrets_are_seen_and_left_out(uri: str, secret: bool, told: str) -> None:
    assert has_secret(uri) == secret
    assert shown(uri) == told
    if secret:
        with pytest.raises(ConfigError, match="environment"):
            refuse_secrets(uri)


def test_file_urls_are_local() -> None:
    assert not is_remote("file:///a/b%20c")
    assert local("file:///a/b%20c") == "/a/b c"
    assert local("/a/b%20c") == "/a/b%20c"
    assert is_remote("s3://b/x")
    assert not is_remote("/a/s3:/x")


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


@given(st.binary(max_size=300), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 200))))
def test_a_ranged_file_reads_like_a_file(content: bytes, reads: list[tuple[int, int]]) -> None:
    store = MemoryStore()
    obstore.put(store, "x", content)
    file, wanted = RangedFile(store, "x"), io.BytesIO(content)
    for position, size in reads:
        assert file.seek(position) == wanted.seek(position)
        assert file.read(size) == wanted.read(size)
        assert file.tell() == wanted.tell()
    assert file.seek(0, io.SEEK_END) == len(content)
    file.seek(0)
    assert file.read() == content


def test_only_what_got_no_answer_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.files.remote.time.sleep", lambda seconds: None)
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

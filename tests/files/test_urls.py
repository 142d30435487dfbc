"""URLs and paths are distinguished, and secrets are not shown."""

import os
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.files.urls import (
    absolute,
    has_secret,
    is_remote,
    is_url,
    joined,
    local,
    plain,
    redacted,
    refuse_secrets,
    shown,
)


@pytest.mark.parametrize(
    ("uri", "secret", "safe"),
    [
        ("s3://b/a@b.jpg", False, "s3://b/a@b.jpg"),
        ("s3://u:p@b/a", True, "s3://…b/a"),
        ("https://h/a?sig=p", True, "https://…h/a"),
        ("s3://b/val-?.tar", False, "s3://b/val-?.tar"),
        ("/local/u:p@x?y=z", False, "/local/u:p@x?y=z"),
    ],
)
def test_secrets_are_found_and_left_out(uri: str, secret: bool, safe: str) -> None:
    assert has_secret(uri) == secret
    assert shown(uri) == safe
    if secret:
        with pytest.raises(ConfigError, match="environment"):
            refuse_secrets(uri)


def test_file_urls_are_local() -> None:
    assert not is_remote("file:///a/b%20c")
    assert local("file:///a/b%20c") == "/a/b c"
    assert local("/a/b%20c") == "/a/b%20c"
    assert is_remote("s3://b/x")
    assert not is_remote("/a/s3:/x")


def test_places_of_both_kinds_are_joined_and_made_absolute(tmp_path: Path) -> None:
    assert joined("s3://b/x/", "y/z.jpg") == joined("s3://b/x", "y/z.jpg") == "s3://b/x/y/z.jpg"
    assert joined(str(tmp_path), "y/z.jpg") == str(tmp_path / "y/z.jpg")
    assert plain("gs://b/x/") == "gs://b/x/"
    assert plain("file:///a%20b") == absolute("file:///a%20b/") == "/a b"
    assert absolute("s3://b/x/") == "s3://b/x"
    assert absolute("x") == os.path.join(os.getcwd(), "x")
    assert is_url("file:///a")
    assert not is_url("/a/s3://b")


def test_a_text_is_shown_without_its_secrets(monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "FwoGZXIvYXdzEXAMPLE")
    monkeypatch.setenv("MY_TOKEN", "short")
    text = (
        "GET 'https://me:pw@host/a?X-Amz-Signature=b' (FwoGZXIvYXdzEXAMPLE), short, s3://bucket/x"
    )
    assert redacted(text) == "GET 'https://…host/a' ($AWS_SESSION_TOKEN), short, s3://bucket/x"

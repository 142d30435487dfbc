"""Where URIs may lead."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DatasetError
from pipeline.files.root import Root, location
from pipeline.files.urls import is_url


@pytest.fixture
def root(tmp_path: Path) -> Root:
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "x.jpg").write_bytes(b"123")
    (tmp_path / "secret.jpg").write_bytes(b"12345")
    return Root(str(tmp_path / "data"))


@pytest.mark.parametrize("uri", ["a/x.jpg", "./a//x.jpg", "a/../a/x.jpg", "{root}/a/x.jpg"])
def test_one_file_has_one_uri(root: Root, uri: str) -> None:
    assert root.place(uri.format(root=root.path)) == "a/x.jpg"


def test_a_file_uri_is_unquoted(root: Root) -> None:
    assert root.place(f"file://{root.path}/a%20b.jpg") == "a b.jpg"


@pytest.mark.parametrize("uri", ["../secret.jpg", "a/../../secret.jpg", "..", ".", "a/../..//x"])
def test_relative_uris_may_not_leave_the_root(root: Root, uri: str) -> None:
    with pytest.raises(DatasetError, match=r"is outside .*dataset\.root"):
        root.place(uri)


@pytest.mark.parametrize("uri", ["", "a\0b"])
def test_what_names_no_file_is_refused(root: Root, uri: str) -> None:
    with pytest.raises(DatasetError, match="empty or contains a NUL"):
        root.place(uri)


def test_links_may_not_leave_the_root(root: Root) -> None:
    base = Path(root.path)
    (base / "link.jpg").symlink_to(base.parent / "secret.jpg")
    (base / "folder").symlink_to(base.parent)
    (base / "inner.jpg").symlink_to(base / "a" / "x.jpg")
    for uri in ("link.jpg", "folder/secret.jpg"):
        with pytest.raises(DatasetError, match="symbolic link to a place outside"):
            root.place(uri)
    assert root.place("inner.jpg") == "inner.jpg"


def test_an_absolute_path_is_the_authors_choice(root: Root) -> None:
    outside = str(Path(root.path).parent / "secret.jpg")
    assert root.place(outside) == outside
    assert root.size(outside) == 5


def test_schemes_that_cannot_be_fetched_are_named(root: Root) -> None:
    with pytest.raises(DatasetError, match="https:// is not supported"):
        root.place("https://bucket/x.jpg")


@pytest.mark.parametrize("uri", ["s3://u:p@b/x.jpg", "s3://b/x.jpg?token=1", "gs://b/a?x=y/z"])
def test_urls_with_credentials_are_refused_without_repeating_them(root: Root, uri: str) -> None:
    with pytest.raises(DatasetError, match="user, a password or a query") as caught:
        root.place(uri)
    assert "token" not in str(caught.value)


def test_a_bucket_may_be_a_root() -> None:
    root = Root("s3://bucket/data/")
    assert root.place("a/x.jpg") == root.place("s3://bucket/data/a/x.jpg") == "a/x.jpg"
    assert root.place("s3://bucket/other.jpg") == "s3://bucket/other.jpg"
    assert root.place("gs://b/x y.jpg") == "gs://b/x y.jpg"
    for uri in ("../x.jpg", "s3://bucket", "s3://b/a//x.jpg", "s3://b/../x.jpg"):
        with pytest.raises(DatasetError):
            root.place(uri)
    assert location(root.path, "a/x.jpg") == "s3://bucket/data/a/x.jpg"
    assert location(root.path, "gs://b/x") == "gs://b/x"


def test_a_root_that_is_itself_a_link_works(root: Root, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root.path)
    alias = Root(str(tmp_path / "alias"))
    assert (alias.place("a/x.jpg"), alias.size("a/x.jpg")) == ("a/x.jpg", 3)


def test_sizes_are_those_of_regular_files(root: Root) -> None:
    (Path(root.path) / "loop").symlink_to("loop")
    assert root.size("a/x.jpg") == 3
    assert [root.size(uri) for uri in ("a", "none", "a/x.jpg/y", "loop", "n" * 300)] == [None] * 5


@given(st.text())
def test_any_text_is_placed_below_the_root_or_refused(tmp_path_factory, uri: str) -> None:
    root = Root(str(tmp_path_factory.getbasetemp()))
    try:
        placed = root.place(uri)
    except DatasetError:
        return
    assert placed == uri or "/" in uri or "\0" not in placed
    assert placed.startswith("/") == (uri.startswith("/") or is_url(uri))
    assert ".." not in placed.split("/")

"""A place answers alike, whether it is on a disk or in an object store."""

from pathlib import Path

import pytest

from pipeline.errors import DatasetError
from pipeline.files.places import file_size, free_bytes, look_at, open_file, read_text, top_of
from pipeline.files.reader import Reader, TooLarge
from tests.object_store.runs import bucket_url, upload
from tests.object_store.server import s3_server


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory):
    """Yield the same files as a folder, as its ``file://`` URL and as a prefix."""
    folder = tmp_path_factory.mktemp("places")
    for name in ("a.txt", "b c.txt", "deep/er/x.txt", "other/y.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(f"{name}\r\né".encode())
    with s3_server():
        upload(folder, bucket_url("places"))
        yield str(folder), f"file://{folder}", bucket_url("places")


def test_files_are_read_and_sized(both: tuple[str, ...]) -> None:
    for place in both:
        with open_file(f"{place}/deep/er/x.txt") as file:
            assert file.read() == b"deep/er/x.txt\r\n\xc3\xa9"
        assert read_text(f"{place}/a.txt") == "a.txt\né"
        assert file_size(f"{place}/a.txt") == 9
        for none in ("none", "deep", "a.txt/none"):
            assert file_size(f"{place}/{none}") is None
        with pytest.raises(OSError, match="none"):
            read_text(f"{place}/none")


def test_ranges_are_read(both: tuple[str, ...]) -> None:
    reader = Reader()
    for place in (both[0], both[2]):
        name = f"{place}/b c.txt"
        assert reader.read(name, most=99) == b"b c.txt\r\n\xc3\xa9"
        assert reader.read(name, 2, 3, most=3) == b"c.t"
        assert reader.read(name, 9, None, most=3) == b"\xc3\xa9"
        assert reader.read(name, 99, 5, most=5) == reader.read(name, 1, 0, most=5) == b""
        with pytest.raises(FileNotFoundError):
            reader.read(f"{place}/none", most=9)
        for span in ((None, None), (0, 9)):
            with pytest.raises(TooLarge):
                reader.read(name, *span, most=8)


def test_the_top_is_named(both: tuple[str, ...], tmp_path: Path) -> None:
    for place in both:
        folders, files = top_of(place)
        assert (sorted(folders), sorted(files)) == (["deep", "other"], ["a.txt", "b c.txt"])
    with pytest.raises(DatasetError, match="cannot list the folder"):
        top_of(str(tmp_path / "none"))
    with pytest.raises(DatasetError, match="cannot list s3://no-such-bucket"):
        top_of("s3://no-such-bucket/x")


def test_what_takes_no_request_is_known_at_once(both: tuple[str, ...], tmp_path: Path) -> None:
    for place in both[:2]:
        found = [look_at(f"{place}{name}") for name in ("", "/a.txt", "/none")]
        assert found == ["folder", "file", "missing"]
        assert free_bytes(f"{place}/not/there/yet")
    assert look_at(both[2]) == "unknown"
    assert free_bytes(both[2]) is None

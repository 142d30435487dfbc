"""Bytes come from where the index says."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.images.fetch import Fetcher
from pipeline.images.reasons import Unusable


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetcher:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.bin").write_bytes(bytes(range(256)) * 4)
    return Fetcher(str(tmp_path))


def test_whole_files_and_ranges(fetcher: Fetcher) -> None:
    whole = bytes(range(256)) * 4
    assert fetcher.fetch("a/x.bin") == whole
    assert fetcher.fetch("a/x.bin", None, 3) == whole
    assert fetcher.fetch("a/x.bin", 10, 5) == whole[10:15]
    assert fetcher.fetch("a/x.bin", 1000) == whole[1000:]
    assert fetcher.fetch("a/x.bin", 1020, 50) == whole[1020:]
    assert fetcher.fetch("a/x.bin", 5000, 50) == b""
    assert fetcher.fetch("a/x.bin#../../x", 10, 5) == whole[10:15]


def test_absolute_uris_ignore_the_root(fetcher: Fetcher) -> None:
    assert Fetcher("/nowhere").fetch(f"{fetcher.root}/a/x.bin", 0, 2) == b"\0\1"


@pytest.mark.parametrize("uri", ["none", "a", "a/x.bin/y", "a\0b", "n" * 300, "loop", "dangling"])
def test_what_is_no_file_is_missing(fetcher: Fetcher, uri: str) -> None:
    Path(fetcher.root, "loop").symlink_to("loop")
    Path(fetcher.root, "dangling").symlink_to("none")
    with pytest.raises(FileNotFoundError):
        fetcher.fetch(uri)


def test_a_pipe_is_missing_and_does_not_block(fetcher: Fetcher) -> None:
    os.mkfifo(Path(fetcher.root, "pipe.jpg"))
    with pytest.raises(FileNotFoundError, match="not a regular file"):
        fetcher.fetch("pipe.jpg")


def test_a_file_that_may_not_be_read_is_not_called_missing(fetcher: Fetcher) -> None:
    path = Path(fetcher.root, "a", "x.bin")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("permissions mean nothing to this user")
    with pytest.raises(PermissionError):
        fetcher.fetch("a/x.bin")


def test_a_huge_file_is_a_bomb_and_is_not_read(fetcher: Fetcher) -> None:
    with Path(fetcher.root, "huge.jpg").open("wb") as file:
        file.truncate((1 << 30) + 1)
    for offset, length in ((None, None), (0, (1 << 30) + 1)):
        with pytest.raises(Unusable, match="bomb"):
            fetcher.fetch("huge.jpg", offset, length)
    assert len(fetcher.fetch("huge.jpg", 1 << 29, 100)) == 100


def test_no_descriptor_is_left_open(fetcher: Fetcher) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    if before is None:
        pytest.skip("no /proc")
    with ThreadPoolExecutor(4) as pool:
        sizes = list(pool.map(lambda _: len(fetcher.fetch("a/x.bin")), range(100)))
    for uri in ("a", "none"):
        with pytest.raises(FileNotFoundError):
            fetcher.fetch(uri)
    assert sizes == [1024] * 100
    assert len(os.listdir("/proc/self/fd")) == before

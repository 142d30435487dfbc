"""A row group is read once, however many threads want its rows."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.images import row_groups as module
from pipeline.images.reasons import Unusable
from pipeline.images.row_groups import Rows
from tests.images.archives import parquet_of


def test_neighbours_share_one_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [b"%d" % n for n in range(64)]
    path = str(parquet_of(tmp_path / "a.parquet", images, [0] * 64, row_group=16))
    opened: list[str] = []

    def open_file(place: str) -> object:
        opened.append(place)
        return open(place, "rb")

    monkeypatch.setattr(module, "open_file", open_file)
    rows = Rows()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: rows.image(path, n // 16, n % 16, "image"), range(64)))
    assert found == images
    assert 4 <= len(opened) <= 8


def test_a_damaged_row_group_is_corrupt_and_its_neighbour_is_not(tmp_path: Path) -> None:
    images = [os.urandom(4000) for _ in range(8)]
    path = parquet_of(tmp_path / "a.parquet", images, [0] * 8, row_group=4)
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(content)
    rows = Rows()
    with pytest.raises(Unusable, match="corrupt"):
        rows.image(str(path), 0, 0, "image")
    assert rows.image(str(path), 1, 0, "image") == images[4]


def test_a_row_group_that_says_it_is_huge_is_a_bomb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet_of(tmp_path / "a.parquet", [bytes(300_000)] * 4, [0] * 4)
    assert path.stat().st_size < 30_000
    assert Rows().image(str(path), 0, 3, "image") == bytes(300_000)
    monkeypatch.setattr(module, "_LARGEST", 1_000_000)
    with pytest.raises(Unusable, match="bomb"):
        Rows().image(str(path), 0, 0, "image")


@pytest.mark.parametrize(("group", "row"), [(0, 9), (7, 0)])
def test_a_row_that_is_not_there_is_missing(tmp_path: Path, group: int, row: int) -> None:
    path = parquet_of(tmp_path / "a.parquet", [b"1"], [0])
    with pytest.raises(FileNotFoundError):
        Rows().image(str(path), group, row, "image")


def test_a_failed_read_is_tried_again(tmp_path: Path) -> None:
    rows, path = Rows(), tmp_path / "a.parquet"
    with pytest.raises(FileNotFoundError):
        rows.image(str(path), 0, 0, "image")
    parquet_of(path, [b"1"], [0])
    assert rows.image(str(path), 0, 0, "image") == b"1"

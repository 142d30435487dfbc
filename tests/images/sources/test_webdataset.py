"""WebDataset archives become rows with byte ranges."""

import json
from pathlib import Path

import pytest

from pipeline.config import DatasetConfig
from pipeline.errors import ConfigError, DatasetError
from pipeline.images import open_source
from pipeline.images.fetch import Fetcher
from pipeline.images.sources.webdataset import WebDatasetSource, open_webdataset
from tests.images.archives import samples, tar_of
from tests.images.indexed import indexed

HOSTILE = ["../../etc/passwd.jpg", "/abs.jpg", "a/../../b.jpg", "\x1b[2J\n.jpg", "<img src=x>.jpg"]


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    for number in range(3):
        images = [b"image %d %d" % (number, n) for n in range(4)]
        tar_of(tmp_path / f"val-{number:06d}.tar", samples(images, [0, 1, 2, 1], 4 * number))
    return tmp_path


@pytest.mark.parametrize("source", ["{}/val-{{000000..000002}}.tar", "{}/val-*.tar", "{}", "{}/"])
def test_every_way_to_name_them_gives_the_same_rows(archives: Path, source: str) -> None:
    opened = open_source(DatasetConfig(source=source.format(archives)))
    assert isinstance(opened, WebDatasetSource)
    rows = indexed(opened).rows
    assert rows["uri"].to_pylist()[:2] == ["val-000000.tar#000000.jpg", "val-000000.tar#000001.jpg"]
    assert rows["label"].to_pylist() == [0, 1, 2, 1] * 3
    assert rows["split"].to_pylist() == ["val"] * 12
    fetcher = Fetcher(opened.root)
    for number, row in enumerate(rows.to_pylist()):
        content = fetcher.fetch(row["uri"], row["offset"], row["length"])
        assert content == b"image %d %d" % divmod(number, 4)


def test_one_archive_is_a_dataset(archives: Path) -> None:
    rows = indexed(open_source(DatasetConfig(source=f"{archives}/val-000001.tar"))).rows
    assert rows["uri"].to_pylist()[0] == "val-000001.tar#000004.jpg"


def test_a_missing_archive_is_named(archives: Path) -> None:
    with pytest.raises(DatasetError, match=r"1 of 4 files .*val-000003\.tar"):
        open_source(DatasetConfig(source=f"{archives}/val-{{000000..000003}}.tar"))
    with pytest.raises(DatasetError, match=r"no \.tar file"):
        open_source(DatasetConfig(source=f"{archives}/train-*.tar"))


@pytest.mark.parametrize(
    ("fields", "label"),
    [({"label": 3}, 3), ({"cls": "4", "x": 1}, 4), ({"caption": "a"}, None), ([1], None)],
)
def test_json_members_hold_labels(tmp_path: Path, fields: object, label: int | None) -> None:
    tar_of(tmp_path / "a.tar", [("x.jpg", b"1"), ("x.json", json.dumps(fields).encode())])
    assert indexed(open_webdataset(str(tmp_path), None)).rows["label"].to_pylist() == [label]


def test_names_of_classes_need_a_mapping(tmp_path: Path) -> None:
    tar_of(tmp_path / "a.tar", [("x.jpg", b"1"), ("x.cls", b"cat\n")])
    with pytest.raises(ConfigError, match=r"a\.tar, 'x\.jpg'.*dataset\.labels"):
        indexed(open_webdataset(str(tmp_path), None))
    source = open_webdataset(str(tmp_path), {"cat": 281})
    assert indexed(source).rows["label"].to_pylist() == [281]
    assert source.class_names == {281: "cat"}


@pytest.mark.parametrize("content", [b"{", b'{"label": {"a": 1}}', b"\xff"])
def test_labels_that_cannot_be_read_are_named(tmp_path: Path, content: bytes) -> None:
    tar_of(tmp_path / "a.tar", [("x.jpg", b"1"), ("x.json", content)])
    with pytest.raises(DatasetError, match=r"a\.tar: 'x\.json'"):
        indexed(open_webdataset(str(tmp_path), None))


def test_a_sample_is_its_picture_not_its_mask(tmp_path: Path) -> None:
    names = ["a.jpg", "a.mask.png", "b.v1.jpg", "b.v2.jpg", "c.txt", ".d.jpg", "d/a.jpg"]
    tar_of(tmp_path / "a.tar", [(name, b"1") for name in names])
    rows = indexed(open_webdataset(str(tmp_path), None)).rows
    found = [uri.partition("#")[2] for uri in rows["uri"].to_pylist()]
    assert found == ["a.jpg", "b.v1.jpg", "b.v2.jpg", "d/a.jpg"]


def test_hostile_member_names_are_text_and_never_paths(tmp_path: Path) -> None:
    tar_of(tmp_path / "a.tar", [(name, b"inside") for name in [*HOSTILE, "caf\udce9.jpg"]])
    source = open_webdataset(str(tmp_path), None)
    rows = indexed(source).rows.to_pylist()
    assert [row["uri"] for row in rows] == [f"a.tar#{n}" for n in [*HOSTILE, "caf\\xe9.jpg"]]
    fetcher = Fetcher(source.root)
    assert {fetcher.fetch(r["uri"], r["offset"], r["length"]) for r in rows} == {b"inside"}
    assert [path.name for path in tmp_path.rglob("*")] == ["a.tar"]


def test_a_cut_archive_is_named(archives: Path) -> None:
    path = archives / "val-000001.tar"
    path.write_bytes(path.read_bytes()[:1700])
    with pytest.raises(DatasetError, match=r"val-000001\.tar is"):
        indexed(open_webdataset(str(archives), None))


def test_the_listing_follows_the_archives(archives: Path) -> None:
    first = open_webdataset(str(archives), None).listing()
    assert open_webdataset(str(archives), None).listing() == first
    assert open_webdataset(str(archives), {"0": 1, "1": 1, "2": 1}).listing() != first
    tar_of(archives / "val-000001.tar", samples([b"other"], [0]))
    assert open_webdataset(str(archives), None).listing() != first


def test_a_mark_in_a_file_name_is_refused(tmp_path: Path) -> None:
    tar_of(tmp_path / "a#b.tar", [("x.jpg", b"1")])
    with pytest.raises(DatasetError, match="rename"):
        open_webdataset(str(tmp_path), None)


def test_class_folders_in_archives_are_labels(tmp_path: Path) -> None:
    tar_of(tmp_path / "0.tar", [("cat/1.jpg", b"1"), ("emu/1.jpg", b"1")])
    tar_of(tmp_path / "1.tar", [("dog/1.jpg", b"1"), ("dog/notes.txt", b"1")])
    source = open_webdataset(str(tmp_path), None)
    found = indexed(source)
    assert found.rows["label"].to_pylist() == [0, 2, 1]
    assert source.class_names == {0: "cat", 1: "dog", 2: "emu"}
    assert [one.names for one in found.index.leftovers] == [("1.tar#dog/notes.txt",)]
    assert indexed(open_webdataset(str(tmp_path), {"cat": 5, "dog": 6, "emu": None})).rows[
        "label"
    ].to_pylist() == [5, None, 6]


def test_labels_of_any_archive_go_before_its_folders(tmp_path: Path) -> None:
    tar_of(tmp_path / "0.tar", [("cat/1.jpg", b"1"), ("dog/1.jpg", b"1")])
    tar_of(tmp_path / "1.tar", [("x/1.jpg", b"1"), ("x/1.cls", b"4")])
    assert indexed(open_webdataset(str(tmp_path), None)).rows["label"].to_pylist() == [
        None,
        None,
        4,
    ]


def test_archives_in_folders_of_splits_have_them(tmp_path: Path) -> None:
    for split in ("train", "val"):
        tar_of(tmp_path / split / "0.tar", samples([b"1"], [0]))
    (tmp_path / "train/0.tar.gz").touch()
    found = indexed(open_source(DatasetConfig(source=str(tmp_path))))
    assert found.rows["split"].to_pylist() == ["train", "val"]
    assert [one.names for one in found.index.leftovers] == [("train/0.tar.gz",)]

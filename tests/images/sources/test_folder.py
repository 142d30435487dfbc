"""Folders of class folders."""

import os
import random
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, DatasetError
from pipeline.images.sources.folder import open_folder
from pipeline.images.sources.leftovers import Leftovers


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def _listed(root: Path) -> dict[str, int | None]:
    return {entry.uri: entry.label for entry in open_folder(str(root), None).scan(Leftovers())}


def test_the_first_folder_is_the_class(tmp_path: Path) -> None:
    _touch(tmp_path, "cat/b.JPG", "cat/more/a.png", "dog/x.webp", "loose.gif", "dog/notes.txt")
    source = open_folder(str(tmp_path), None)
    entries = list(source.scan(Leftovers()))
    assert [(entry.uri, entry.label) for entry in entries] == [
        ("cat/b.JPG", 0),
        ("cat/more/a.png", 0),
        ("dog/x.webp", 1),
        ("loose.gif", None),
    ]
    assert [entry.length for entry in entries] == [9, 14, 10, 9]
    assert {(entry.offset, entry.split, entry.boxes) for entry in entries} == {(None, None, ())}
    assert source.class_names == {0: "cat", 1: "dog"}
    assert source.root == str(tmp_path)


def test_labels_map_folders_to_the_model(tmp_path: Path) -> None:
    _touch(tmp_path, "cat/a.jpg", "junk/a.jpg")
    source = open_folder(str(tmp_path), {"cat": 281, "junk": None})
    assert [entry.label for entry in source.scan(Leftovers())] == [281, None]
    assert source.class_names == {281: "cat"}
    with pytest.raises(ConfigError, match="'junk'"):
        open_folder(str(tmp_path), {"cat": 281})


def test_folders_named_like_splits_are_splits(tmp_path: Path) -> None:
    _touch(tmp_path, "train/dog/a.jpg", "val/cat/a.jpg", "val/dog/a.jpg")
    source = open_folder(str(tmp_path), None)
    assert [(entry.uri, entry.label, entry.split) for entry in source.scan(Leftovers())] == [
        ("train/dog/a.jpg", 1, "train"),
        ("val/cat/a.jpg", 0, "val"),
        ("val/dog/a.jpg", 1, "val"),
    ]


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    _touch(tmp_path, "test/a.jpg", "cat/a.jpg")
    assert _listed(tmp_path) == {"cat/a.jpg": 0, "test/a.jpg": 1}


def test_the_order_is_that_of_whole_paths(tmp_path: Path) -> None:
    stems = ["a", "a-b", "a.b", "ab", "a b", "B", "é", "a/b", "a/b-c", "a/b.d"]
    names = [f"{stem}/{leaf}.jpg" for stem in stems for leaf in ("x", "x-y", "xy", "ü")]
    random.Random(0).shuffle(names)
    _touch(tmp_path, *names)
    assert list(_listed(tmp_path)) == sorted(names)


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    _touch(tmp_path, "cat/a.jpg", "cat/._a.jpg", ".cache/b.jpg", ".b.jpg")
    assert _listed(tmp_path) == {"cat/a.jpg": 0}


def test_links_are_followed_once_and_dangling_ones_stay_a_row(tmp_path: Path) -> None:
    _touch(tmp_path, "set/cat/a.jpg", "elsewhere/b.jpg")
    cat = tmp_path / "set" / "cat"
    (cat / "b.jpg").symlink_to(tmp_path / "elsewhere" / "b.jpg")
    (cat / "gone.jpg").symlink_to("nowhere.jpg")
    (cat / "up").symlink_to(cat.parent)
    entries = {
        entry.uri: entry.length for entry in open_folder(str(cat.parent), None).scan(Leftovers())
    }
    assert entries == {"cat/a.jpg": 13, "cat/b.jpg": 15, "cat/gone.jpg": None}


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    names = ["<script>alert(1)</script>", "$(reboot)", "new\nline", "\x1b[31m", "=1+1", "emoji🦊"]
    flat = [name.replace("/", "∕") for name in names]
    _touch(tmp_path, *(f"{name}/{name}.jpg" for name in flat))
    source = open_folder(str(tmp_path), None)
    assert sorted(source.class_names.values()) == sorted(flat)
    assert {entry.uri for entry in source.scan(Leftovers())} == {
        f"{name}/{name}.jpg" for name in flat
    }


def test_names_that_are_no_text_are_an_error(tmp_path: Path) -> None:
    _touch(tmp_path, "cat/a.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/cat/\xff.jpg")).write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"xff\.jpg.*not UTF-8"):
        _listed(tmp_path)


def test_a_folder_without_images_says_what_is_there_instead(tmp_path: Path) -> None:
    _touch(tmp_path, "cat/notes.txt")
    with pytest.raises(DatasetError, match=r"no images below .*, but 1 \.txt"):
        _listed(tmp_path)

"""Which folders are classes."""

import re
from pathlib import Path

import pytest

from pipeline.images.sources.folder import open_folder
from pipeline.images.sources.leftovers import Leftovers


def _scan(root: Path, *names: str) -> tuple[dict[str, tuple[int | None, str | None]], str]:
    """Make files, and folders (with a slash at the end); return uri → (label, split), leftovers."""
    for name in names:
        place = root / name
        (place if name.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            place.write_bytes(b"x")
    leftovers = Leftovers()
    entries = list(open_folder(str(root), None).scan(leftovers))
    rows = {entry.uri: (entry.label, entry.split) for entry in entries}
    return rows, "; ".join(map(str, leftovers.found))


@pytest.mark.parametrize(
    ("stray", "said"),
    [
        ("empty/", "folders without images: 1 ('empty')"),
        ("annotations/1.xml", "folders without images: 1 ('annotations')"),
        ("aaa/deep/er/", "folders without images: 1 ('aaa')"),
        ("__MACOSX/cat/._1.jpg", "hidden and system folders: 1 ('__MACOSX')"),
        ("@eaDir/1.jpg", "hidden and system folders: 1 ('@eaDir')"),
        ("cat/@eaDir/1.jpg", "hidden and system folders: 1 ('cat/@eaDir')"),
        (".ipynb_checkpoints/1.jpg", "hidden and system folders: 1 ('.ipynb_checkpoints')"),
        ("lost+found/", "hidden and system folders: 1 ('lost+found')"),
        ("$RECYCLE.BIN/1.png", "hidden and system folders: 1 ('$RECYCLE.BIN')"),
    ],
)
def test_a_folder_that_shows_nothing_is_not_a_class(tmp_path: Path, stray: str, said: str) -> None:
    rows, left = _scan(tmp_path, "cat/1.jpg", "dog/1.jpg", stray)
    assert rows == {"cat/1.jpg": (0, None), "dog/1.jpg": (1, None)}
    assert said in left


@pytest.mark.parametrize("stray", ["annotations/", "annotations/1.xml", "masks/1.png", "./"])
def test_splits_stay_splits_beside_a_stray(tmp_path: Path, stray: str) -> None:
    rows, left = _scan(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "val/dog/1.jpg", stray)
    assert rows == {
        "train/cat/1.jpg": (0, "train"),
        "train/dog/1.jpg": (1, "train"),
        "val/dog/1.jpg": (1, "val"),
    }
    assert bool(re.search(re.escape(stray.partition("/")[0]), left)) == (stray != "./")


def test_one_split_beside_a_folder_of_images_is_a_split(tmp_path: Path) -> None:
    rows, left = _scan(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "masks/1.png")
    assert {split for _, split in rows.values()} == {"train"}
    assert left == "images in folders beside the splits: 1 ('masks/1.png')"


def test_a_class_missing_in_one_split_does_not_move_the_others(tmp_path: Path) -> None:
    rows, _ = _scan(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "train/c/1.jpg", "val/c/1.jpg")
    assert rows["val/c/1.jpg"] == (2, "val")


@pytest.mark.parametrize("folder", ["images", "IMG", "JPEGImages"])
def test_a_lone_folder_of_images_is_not_a_class(tmp_path: Path, folder: str) -> None:
    rows, _ = _scan(tmp_path, f"{folder}/1.jpg", f"{folder}/2.jpg")
    assert {label for label, _ in rows.values()} == {None}


@pytest.mark.parametrize(
    ("above", "beside"),
    [
        ("images/", "class_to_index.json"),
        ("101_ObjectCategories/", "readme.txt"),
        ("set/data/", "set/annotations/1.xml"),
        ("images/", "empty/"),
    ],
)
def test_a_level_above_the_classes_is_no_class(tmp_path: Path, above: str, beside: str) -> None:
    rows, left = _scan(tmp_path, f"{above}cat/1.jpg", f"{above}dog/images/1.jpg", beside)
    assert rows == {f"{above}cat/1.jpg": (0, None), f"{above}dog/images/1.jpg": (1, None)}
    assert ("annotations" in left or "empty" in left) == beside.endswith(("/", "xml"))


def test_a_level_above_splits_is_no_class(tmp_path: Path) -> None:
    rows, _ = _scan(tmp_path, "imagenet/train/cat/1.jpg", "imagenet/train/dog/1.jpg")
    assert rows == {
        "imagenet/train/cat/1.jpg": (0, "train"),
        "imagenet/train/dog/1.jpg": (1, "train"),
    }


@pytest.mark.parametrize(
    "names", [["n01/images/1.jpg"], ["cat/2021/1.jpg"], ["cat/1.jpg", "cat/more/1.jpg"]]
)
def test_a_lone_class_stays_a_class(tmp_path: Path, names: list[str]) -> None:
    rows, _ = _scan(tmp_path, *names)
    assert {label for label, _ in rows.values()} == {0}


def test_a_folder_that_the_labels_name_is_a_class(tmp_path: Path) -> None:
    _scan(tmp_path, "dog/husky/1.jpg", "dog/pug/1.jpg")
    entries = open_folder(str(tmp_path), {"dog": 7}).scan(Leftovers())
    assert [entry.label for entry in entries] == [7, 7]


def test_a_split_without_classes_is_unlabelled(tmp_path: Path) -> None:
    rows, _ = _scan(tmp_path, "train/n1/images/a.jpg", "train/n2/b.jpg", "val/images/v.jpg")
    assert rows == {
        "train/n1/images/a.jpg": (0, "train"),
        "train/n2/b.jpg": (1, "train"),
        "val/images/v.jpg": (None, "val"),
    }


def test_links_that_lead_round_end(tmp_path: Path) -> None:
    (tmp_path / "set/cat").mkdir(parents=True)
    (tmp_path / "set/cat/up").symlink_to(tmp_path / "set")
    rows, left = _scan(tmp_path / "set", "dog/1.jpg")
    assert {uri for uri, (label, _) in rows.items() if label is not None} == {"dog/1.jpg"}
    assert "folders without images" in left

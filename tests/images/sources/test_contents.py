"""What lies below a folder is counted until it is clear."""

from pathlib import Path

import pytest

from pipeline.images.sources.contents import (
    contents_below,
    first_image_in_a_folder,
    is_metadata,
    several_class_folders,
)


def _touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_files_are_counted_by_their_whole_suffix(tmp_path: Path) -> None:
    names = ["a.tar.gz", "b/c.TAR.GZ", "d.csv", "e", "f.x1", "f.x2", "f.x3"]
    contents = contents_below(str(_touch(tmp_path, *names)))
    assert contents.has((".tar.gz",))
    assert not contents.images
    assert str(contents).startswith("2 .tar.gz, 1 ")
    assert str(contents).endswith(", 2 other kinds")


def test_an_image_ends_the_count(tmp_path: Path) -> None:
    assert contents_below(str(_touch(tmp_path, "a/1.JPG", "b.txt"))).images


@pytest.mark.parametrize(
    ("names", "several"),
    [
        (["cat/1.jpg", "dog/1.jpg"], True),
        (["train/cat/1.jpg", "train/dog/1.jpg"], True),
        (["train/1.jpg", "test/1.jpg"], False),
        (["images/1.jpg", "1.jpg", "notes/1.txt"], False),
    ],
)
def test_class_folders_are_more_than_one(tmp_path: Path, names: list[str], several: bool) -> None:
    assert several_class_folders(str(_touch(tmp_path, *names))) == several


def test_an_image_at_the_top_is_in_no_folder(tmp_path: Path) -> None:
    assert first_image_in_a_folder(str(_touch(tmp_path, "a.jpg"))) is None
    assert first_image_in_a_folder(str(_touch(tmp_path, "b/a.jpg"))) == "b/a.jpg"


def test_metadata_is_a_table_of_that_name() -> None:
    assert [is_metadata(name) for name in ("metadata.csv", "x/Metadata.JSONL", "metadata.txt")] == [
        True,
        True,
        False,
    ]

"""Folders in archives become classes and splits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DatasetError
from pipeline.images.sources.class_folders import class_folders, folders_of


@pytest.mark.parametrize(
    ("names", "of"),
    [
        (["cat/1.jpg", "dog/1.jpg"], {"dog/1.jpg": (1, None)}),
        (["./cat/1.jpg", "./dog/a/1.jpg"], {"./dog/a/1.jpg": (1, None)}),
        (["set/cat/1.jpg", "set/dog/1.jpg"], {"set/cat/1.jpg": (0, None)}),
        (["val/cat/1.jpg", "val/dog/1.jpg"], {"val/dog/1.jpg": (1, "val")}),
        (["d/train/cat/1.jpg", "d/val/dog/1.jpg"], {"d/val/dog/1.jpg": (1, "val")}),
        (["cat/1.jpg", "dog/1.jpg", "1.jpg"], {"1.jpg": (None, None)}),
    ],
)
def test_the_first_folder_that_differs_is_the_class(
    names: list[str], of: dict[str, tuple[int | None, str | None]]
) -> None:
    folders = class_folders({folders_of(name) for name in names}, None)
    assert folders is not None
    assert {name: folders.of(name) for name in of} == of


@pytest.mark.parametrize("names", [["a/1.jpg", "a/2.jpg"], ["1.jpg"], ["train/1.jpg", "val/1.jpg"]])
def test_one_folder_is_no_class(names: list[str]) -> None:
    assert class_folders({folders_of(name) for name in names}, None) is None


def test_labels_map_them_to_the_model() -> None:
    folders = class_folders([("cat",), ("dog",)], {"cat": 281, "dog": None})
    assert folders is not None
    assert (folders.of("cat/1.jpg")[0], folders.of("dog/1.jpg")[0]) == (281, None)


@given(st.sets(st.lists(st.sampled_from(["a", "b", "train"]), max_size=3).map(tuple), min_size=1))
def test_any_archive_has_a_label_for_each_of_its_folders(paths: set[tuple[str, ...]]) -> None:
    folders = class_folders(paths, None)
    if folders is not None:
        found = {folders.of("/".join((*path, "x.jpg")))[0] for path in paths}
        assert set(folders.labels.values()) <= found


def test_folders_of_images_and_masks_are_no_classes() -> None:
    paths = {("set", "images"), ("set", "masks")}
    with pytest.raises(DatasetError, match="images and masks of them, not classes"):
        class_folders(paths, None)
    assert class_folders(paths, None, chosen=True) is not None

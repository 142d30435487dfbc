"""Masks among images are refused until the user chooses; what only looks alike is not."""

from pathlib import Path

import pytest

from pipeline.errors import DatasetError
from pipeline.images.sources.exclusion import Exclusion
from pipeline.images.sources.folder import open_folder
from pipeline.images.sources.leftovers import Leftovers
from pipeline.images.sources.masks import of_image


def _uris(root: Path, names: str, exclude: tuple[str, ...] | None = None) -> tuple[list[str], str]:
    for name in names.split():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    leftovers = Leftovers()
    source = open_folder(str(root), None, exclusion=Exclusion(exclude))
    return [entry.uri for entry in source.scan(leftovers)], "; ".join(map(str, leftovers.found))


@pytest.mark.parametrize(
    ("stem", "image"),
    [
        ("7_mask", "7"),
        ("a.b-seg", "a.b"),
        ("7_GT", "7"),
        ("7_mask2", "7"),
        ("7 ground truth", "7"),
        ("7_segmentation", "7"),
        ("mask", None),
        ("7mask", None),
        ("batman_masked", None),
        ("7_maskx", None),
    ],
)
def test_a_mask_names_its_image(stem: str, image: str | None) -> None:
    assert of_image(stem) == image


@pytest.mark.parametrize(
    "mask", ["7_mask.png", "7-seg.png", "7_mask1.jpg", "7.mask.png", "7_GT.tif"]
)
def test_a_mask_beside_its_image_is_refused_with_the_choice(tmp_path: Path, mask: str) -> None:
    names = f"cat/1.jpg cat/7.jpg cat/{mask} dog/1.jpg"
    with pytest.raises(DatasetError) as refused:
        _uris(tmp_path, names)
    assert f"'cat/{mask}' is a mask of 'cat/7.jpg'" in str(refused.value)
    pattern = str(refused.value).split("dataset.exclude: ['")[1].split("']")[0]
    uris, left = _uris(tmp_path, names, (pattern,))
    assert uris == ["cat/1.jpg", "cat/7.jpg", "dog/1.jpg"]
    assert left == f"left out by dataset.exclude: 1 ('cat/{mask}')"
    assert f"cat/{mask}" in _uris(tmp_path, names, ())[0]


def test_a_mask_without_its_image_is_an_image(tmp_path: Path) -> None:
    uris, left = _uris(tmp_path, "with_mask/7_mask.jpg with_mask/8_mask.jpg without/7.jpg")
    assert len(uris) == 3
    assert not left


@pytest.mark.parametrize("below", ["", "train/"])
@pytest.mark.parametrize(
    ("images", "masks"),
    [("images", "masks"), ("JPEGImages", "SegmentationClass"), ("imgs", "Ground Truth")],
)
def test_folders_of_images_and_masks_are_no_classes(
    tmp_path: Path, below: str, images: str, masks: str
) -> None:
    for folder in (f"{below}{images}", f"{below}{masks}", *(["val/images"] if below else [])):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.png").write_bytes(b"x")
    with pytest.raises(DatasetError, match="images and masks of them, not classes"):
        _uris(tmp_path, "")
    uris, left = _uris(tmp_path, "", (f"{below}{masks}/**",))
    assert f"{below}{images}/1.png" in uris
    assert left == f"left out by dataset.exclude: 1 ('{below}{masks}/1.png')"
    assert open_folder(str(tmp_path), None, exclusion=Exclusion(())).classes


def test_classes_called_mask_are_classes(tmp_path: Path) -> None:
    _uris(tmp_path, "mask/1.jpg no_mask/1.jpg")
    assert list(open_folder(str(tmp_path), None).classes) == ["mask", "no_mask"]

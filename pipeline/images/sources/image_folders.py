"""Which folders of a dataset are classes: those that hold images and are not splits or strays."""

import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipeline.files.places import text_name, top_of
from pipeline.files.read_ahead import ahead
from pipeline.files.tree import is_system, nearest_below
from pipeline.images.sources.exclusion import Exclusion
from pipeline.images.sources.masks import PLAIN, refuse_mask_folders
from pipeline.images.sources.splits import folder_split


@dataclass(frozen=True)
class ImageFolders:
    """The folders at the top of a dataset, and below its splits.

    ``classes`` are the sorted names of the class folders, ``splits`` those of the splits (empty if
    none); ``strays`` are folders next to the splits, ``empty`` those without images, as paths.
    """

    classes: tuple[str, ...]
    splits: frozenset[str]
    strays: frozenset[str]
    empty: tuple[str, ...]


def find_image_folders(
    root: str, is_image: Callable[[str], bool], exclusion: Exclusion
) -> ImageFolders:
    """Find the class folders: each folder is searched only until its first image.

    Folders named like splits (train, val, test, …) are splits if nothing else holds images, if
    there are at least two of them, or if only they have subfolders with images. Hidden and
    system folders are skipped, and those that ``exclusion`` leaves out.

    Raises
    ------
    DatasetError
        A folder cannot be listed, or by their names the folders hold images and their masks.
    """

    def look(names: Iterable[str]) -> dict[str, str]:
        paths = sorted(name for name in names if not exclusion.folder(name))
        found = ahead(lambda name: nearest_below(f"{root}/{name}", is_image), paths)
        return dict(zip(paths, found, strict=True))

    top = look(_folders(root))
    full = {name for name, holds in top.items() if holds != "nowhere"}
    splits = {name for name in full if folder_split(name)}
    others = full - splits
    nested = all(top[name] == "deeper" for name in splits)
    only_they = nested and all(top[name] == "here" for name in others)
    if not splits or not (not others or len(splits) > 1 or only_they):
        empty = tuple(name for name in top if name not in full)
        if not exclusion.chosen:
            refuse_mask_folders(full, root)
        return ImageFolders(_classes(full), frozenset(), frozenset(), empty)
    below = look(f"{split}/{name}" for split in splits for name in _folders(f"{root}/{split}"))
    found: set[str] = set()
    for split in splits:
        names = {path for path, holds in below.items() if holds != "nowhere"}
        own = {posixpath.basename(path) for path in names if path.startswith(f"{split}/")}
        if not exclusion.chosen:
            refuse_mask_folders(own, f"{root}/{split}")
        found |= set(_classes(own))
    empty = tuple(path for path, holds in {**top, **below}.items() if holds == "nowhere")
    return ImageFolders(tuple(sorted(found)), frozenset(splits), frozenset(others), empty)


def _classes(names: set[str]) -> tuple[str, ...]:
    plain = len(names) == 1 and next(iter(names)).lower() in PLAIN
    return () if plain else tuple(sorted(names))


def _folders(path: str) -> set[str]:
    return {text_name(name, path) for name in top_of(path)[0] if not is_system(name)}

"""Which folders of a dataset are classes: those that hold images and are not splits or strays."""

import posixpath
from collections.abc import Callable, Collection, Iterable
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
    ``above`` is the path, with a slash at its end, of the folder that holds all of these where it
    is not the dataset's own: ``images/``.
    """

    classes: tuple[str, ...]
    splits: frozenset[str]
    strays: frozenset[str]
    empty: tuple[str, ...]
    above: str = ""


def find_image_folders(
    root: str, is_image: Callable[[str], bool], exclusion: Exclusion, named: Collection[str] = ()
) -> ImageFolders:
    """Find the class folders: each folder is searched only until its first image.

    Folders named like splits (train, val, test, …) are splits if nothing else holds images, if
    there are at least two of them, or if only they have subfolders with images. Hidden and
    system folders are skipped, and those that ``exclusion`` leaves out. A folder that holds all
    images, and only in folders of its own, is a level above the classes rather than the only class,
    unless it is among the ``named``, for which there are labels.

    Raises
    ------
    DatasetError
        A folder cannot be listed, or by their names the folders hold images and their masks.
    """

    def look(above: str, names: Iterable[str]) -> dict[str, str]:
        paths = sorted(name for name in names if not exclusion.folder(above + name))
        found = ahead(lambda name: nearest_below(f"{root}/{above}{name}", is_image), paths)
        return dict(zip(paths, found, strict=True))

    above, skipped = "", list[str]()
    top = look(above, _folders(root))
    place, seen, beside = above, top, list[str]()
    while (inner := _level_above(root, place, seen, is_image)) and inner not in named:
        beside += [place + name for name in seen if name != inner]
        place = f"{place}{inner}/"
        seen = look(place, _folders(f"{root}/{place}".rstrip("/")))
        within = [name for name, holds in seen.items() if holds != "nowhere"]
        if len(within) > 1 or inner.lower() in PLAIN or folder_split(within[0]):
            above, top, skipped = place, seen, list(beside)
    full = {name for name, holds in top.items() if holds != "nowhere"}
    splits = {name for name in full if folder_split(name)}
    others = full - splits
    nested = all(top[name] == "deeper" for name in splits)
    only_they = nested and all(top[name] == "here" for name in others)
    if not splits or not (not others or len(splits) > 1 or only_they):
        empty = [above + name for name in top if name not in full]
        if not exclusion.chosen:
            refuse_mask_folders(full, f"{root}/{above}".rstrip("/"))
        return ImageFolders(_classes(full), frozenset(), frozenset(), (*skipped, *empty), above)
    below = look(
        above,
        (f"{split}/{name}" for split in splits for name in _folders(f"{root}/{above}{split}")),
    )
    found: set[str] = set()
    for split in splits:
        names = {path for path, holds in below.items() if holds != "nowhere"}
        own = {posixpath.basename(path) for path in names if path.startswith(f"{split}/")}
        if not exclusion.chosen:
            refuse_mask_folders(own, f"{root}/{above}{split}")
        found |= set(_classes(own))
    empty = [above + path for path, holds in {**top, **below}.items() if holds == "nowhere"]
    classes = tuple(sorted(found))
    return ImageFolders(classes, frozenset(splits), frozenset(others), (*skipped, *empty), above)


def _level_above(
    root: str, above: str, top: dict[str, str], is_image: Callable[[str], bool]
) -> str | None:
    """Return the folder that holds all images of a level, in its own folders; None if none does."""
    full = [name for name, holds in top.items() if holds != "nowhere"]
    if len(full) != 1 or top[full[0]] != "deeper" or folder_split(full[0]):
        return None
    files = top_of(f"{root}/{above}".rstrip("/"))[1]
    return None if any(is_image(name) and not is_system(name) for name in files) else full[0]


def _classes(names: set[str]) -> tuple[str, ...]:
    plain = len(names) == 1 and next(iter(names)).lower() in PLAIN
    return () if plain else tuple(sorted(names))


def _folders(path: str) -> set[str]:
    return {text_name(name, path) for name in top_of(path)[0] if not is_system(name)}

"""Which folders of a path are the split and the class of an image."""

import posixpath
from collections.abc import Collection
from dataclasses import dataclass

from pipeline.images.sources.labels import Labels, folder_labels
from pipeline.images.sources.masks import refuse_mask_folders
from pipeline.images.sources.splits import folder_split

Path = tuple[str, ...]


@dataclass(frozen=True)
class ClassFolders:
    """The class folders of archives: below ``skipped`` folders common to all, and below splits."""

    skipped: int
    has_splits: bool
    labels: dict[str, int | None]

    def of(self, name: str) -> tuple[int | None, str | None]:
        """Return label and split of a member."""
        path = folders_of(name)[self.skipped :]
        split = folder_split(path[0]) if self.has_splits and path else None
        classes = path[1:] if self.has_splits else path
        return (self.labels[classes[0]] if classes else None), split


def folders_of(name: str) -> Path:
    """Return the folders above a member."""
    path = posixpath.normpath(posixpath.dirname(name)).lstrip("/")
    return () if path in ("", ".") else tuple(path.split("/"))


def class_folders(
    paths: Collection[Path], labels: Labels | None, chosen: bool = False
) -> ClassFolders | None:
    """Return the class folders among the folders of all images; None if there is only one.

    Folders that all images share are not classes. Where all folders below are named like splits
    (train, val, …), they are splits, and the folders below them the classes.
    Unless the user has ``chosen`` what to leave out, masks beside images are refused.

    Raises
    ------
    DatasetError
        By their names the folders hold images and their masks.
    """
    skipped = 0
    while len(here := {path[skipped : skipped + 1] for path in paths}) == 1:
        (shared,) = here
        if not shared or folder_split(shared[0]):
            break
        skipped += 1
    below = [path[skipped:] for path in paths]
    has_splits = all(path and folder_split(path[0]) for path in below)
    classes = {path[has_splits] for path in below if len(path) > has_splits}
    if not chosen:
        refuse_mask_folders(classes, "the archive")
    if len(classes) < 2:
        return None
    return ClassFolders(skipped, has_splits, folder_labels(classes, labels))

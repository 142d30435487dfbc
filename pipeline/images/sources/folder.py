"""A folder with one subfolder of images per class."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.errors import DatasetError
from pipeline.files.places import top_of
from pipeline.files.root import Root
from pipeline.images.sources.boxes import NO_BOXES, Boxes
from pipeline.images.sources.contents import contents_below
from pipeline.images.sources.exclusion import ALL, EXCLUDED, Exclusion
from pipeline.images.sources.image_files import images_below, is_image
from pipeline.images.sources.image_folders import ImageFolders, find_image_folders
from pipeline.images.sources.labels import Labels, class_names, folder_labels
from pipeline.images.sources.leftovers import Leftovers
from pipeline.images.sources.masks import MaskFiles
from pipeline.images.sources.source import Entry


@dataclass(frozen=True)
class FolderSource:
    """Images below a folder, sorted by relative path; the first folder of the path is the class.

    Folders at the top that are named like splits (train, val, test, …) are splits, and the folders
    below them classes; files in folders next to splits are left over. A class is a folder with
    images; one folder above all classes, such as ``images``, is none. Images next to the class
    folders are unlabelled. Hidden files are skipped; symbolic links are followed, each folder at
    most once on a path.
    """

    root: str
    labels: dict[str, int | None]
    folders: ImageFolders
    boxes: Boxes = field(repr=False)
    exclusion: Exclusion = ALL

    @property
    def class_names(self) -> dict[int, str]:
        """Label → folder name."""
        return class_names(self.labels)

    @property
    def classes(self) -> dict[str, int | None]:
        """Folder name → label, in order of the names."""
        return self.labels

    @property
    def multi_label(self) -> bool:
        """Return False: an image is in one folder."""
        return False

    def listing(self) -> None:
        """Return None: nothing is cheaper than a scan."""

    def scan(self, leftovers: Leftovers) -> Iterator[Entry]:
        """Yield the images in order of their relative posix paths."""
        for folder in self.folders.empty:
            leftovers.add("folders without images", folder)
        masks = MaskFiles(lambda folder: top_of(posixpath.join(self.root, folder))[1])
        empty = True
        for uri, size in images_below(self.root, is_image, leftovers):
            parts = uri.removeprefix(self.folders.above).split("/")
            if parts[0] in self.folders.strays and len(parts) > 1:
                leftovers.add("images in folders beside the splits", uri)
                continue
            if self.exclusion(uri):
                leftovers.add(EXCLUDED, uri)
                continue
            if not self.exclusion.chosen:
                masks.check(uri)
            empty = False
            split = parts[0] if len(parts) > 1 and parts[0] in self.folders.splits else None
            classes = parts[1:-1] if split else parts[:-1]
            label = self.labels.get(classes[0]) if classes else None
            yield Entry(uri, None, size, label, split, self.boxes.of(uri, label))
        if empty:
            contents = contents_below(self.root)
            raise DatasetError(
                f"there are no images below {self.root}, but {contents}{contents.advice}"
            )
        self.boxes.finish(leftovers)


def open_folder(
    path: str, labels: Labels | None, boxes: Boxes = NO_BOXES, *, exclusion: Exclusion = ALL
) -> FolderSource:
    """Find the class folders of a dataset.

    Raises
    ------
    DatasetError, ConfigError
        The folder cannot be listed, or ``labels`` lacks a class folder.
    """
    root = Root(path).path
    found = find_image_folders(root, is_image, exclusion, labels or ())
    return FolderSource(root, folder_labels(found.classes, labels), found, boxes, exclusion)

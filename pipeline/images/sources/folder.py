"""A folder with one subfolder of images per class."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.errors import DatasetError
from pipeline.files.places import text_name, top_of
from pipeline.files.root import Root
from pipeline.images.sources.boxes import NO_BOXES, Boxes
from pipeline.images.sources.contents import contents_below
from pipeline.images.sources.image_files import images_below, is_image
from pipeline.images.sources.labels import Labels, class_names, folder_labels
from pipeline.images.sources.leftovers import Leftovers
from pipeline.images.sources.source import Entry
from pipeline.images.sources.splits import SPLITS


@dataclass(frozen=True)
class FolderSource:
    """Images below a folder, sorted by relative path; the first folder of the path is the class.

    If all folders at the top are named like splits (train, val, test, …) they are splits, and the
    folders below them classes. Images beside the class folders are unlabelled. Hidden files are
    passed over; symbolic links are followed, each folder at most once on a path.
    """

    root: str
    labels: dict[str, int | None]
    has_splits: bool
    boxes: Boxes = field(repr=False)

    @property
    def class_names(self) -> dict[int, str]:
        """Label → folder name."""
        return class_names(self.labels)

    def listing(self) -> None:
        """Nothing is cheaper than to look at every file."""

    def scan(self, leftovers: Leftovers) -> Iterator[Entry]:
        """Yield the images in order of their relative posix paths."""
        empty = True
        for uri, size in images_below(self.root, is_image, leftovers):
            empty = False
            parts = uri.split("/")
            split = parts[0] if self.has_splits and len(parts) > 1 else None
            classes = parts[1:-1] if split else parts[:-1]
            label = self.labels[classes[0]] if classes else None
            yield Entry(uri, None, size, label, split, self.boxes.of(uri, label))
        if empty:
            contents = contents_below(self.root)
            raise DatasetError(
                f"there is no image below {self.root}, but {contents}{contents.advice}"
            )
        self.boxes.check_all_used()


def open_folder(path: str, labels: Labels | None, boxes: Boxes = NO_BOXES) -> FolderSource:
    """Look at the class folders of a dataset.

    Raises
    ------
    DatasetError, ConfigError
        The folder cannot be listed, or ``labels`` lacks a class folder.
    """
    root = Root(path).path
    top = _folders(root)
    has_splits = bool(top) and SPLITS.issuperset(name.lower() for name in top)
    classes = {name for split in top for name in _folders(f"{root}/{split}")} if has_splits else top
    return FolderSource(root, folder_labels(classes, labels), has_splits, boxes)


def _folders(path: str) -> set[str]:
    return {text_name(name, path) for name in top_of(path)[0] if name[0] != "."}

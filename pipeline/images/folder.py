"""A folder with one subfolder of images per class."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.errors import DatasetError
from pipeline.images.boxes import NO_BOXES, Boxes
from pipeline.images.entry import Entry
from pipeline.images.labels import Labels, class_names, folder_labels
from pipeline.images.uris import Root

SUFFIXES = frozenset(
    {".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg"}
    | {".jpg", ".jpx", ".jxl", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff"}
    | {".webp"}
)
"""What counts as an image file. Kinds that cannot be decoded are here to be reported, not lost."""

_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing", "dev"})


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

    def scan(self) -> Iterator[Entry]:
        """Yield the images in order of their relative posix paths."""
        empty = True
        for uri, size in _images(self.root, "", ()):
            empty = False
            parts = uri.split("/")
            split = parts[0] if self.has_splits and len(parts) > 1 else None
            classes = parts[1:-1] if split else parts[:-1]
            label = self.labels[classes[0]] if classes else None
            yield Entry(uri, None, size, label, split, self.boxes.of(uri, label))
        if empty:
            raise DatasetError(
                f"there is no image below {self.root}; looked for *{', *'.join(sorted(SUFFIXES))}"
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
    has_splits = bool(top) and _SPLITS.issuperset(name.lower() for name in top)
    classes = {name for split in top for name in _folders(f"{root}/{split}")} if has_splits else top
    return FolderSource(root, folder_labels(classes, labels), has_splits, boxes)


def _folders(path: str) -> set[str]:
    return {_text(entry, path) for entry in _list(path) if entry.is_dir() and entry.name[0] != "."}


def _images(root: str, prefix: str, above: tuple[str, ...]) -> Iterator[tuple[str, int | None]]:
    """Yield (relative path, bytes) below ``root/prefix`` in order of the paths.

    A folder sorts by its name with a slash, so that the order is that of whole paths while only
    one folder is listed at a time.
    """
    folder = os.path.join(root, prefix)
    real = os.path.realpath(folder)
    if real in above:
        return
    named = []
    for entry in _list(folder):
        is_folder = entry.is_dir()
        if entry.name[0] != "." and (is_folder or _suffix(entry.name) in SUFFIXES):
            named.append((_text(entry, folder) + "/" * is_folder, entry))
    for name, entry in sorted(named, key=lambda pair: pair[0]):
        if name.endswith("/"):
            yield from _images(root, prefix + name, (*above, real))
        else:
            yield prefix + name, _size(entry)


def _list(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError as error:
        raise DatasetError(f"cannot list the folder {path}: {error.strerror}") from error


def _size(entry: os.DirEntry[str]) -> int | None:
    """Return the bytes of a file; None for a dangling link and whatever else is no file."""
    try:
        return entry.stat().st_size if entry.is_file() else None
    except OSError:
        return None


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _text(entry: os.DirEntry[str], folder: str) -> str:
    """Return a file name if it is text at all; bytes that are not UTF-8 cannot be indexed."""
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        raise DatasetError(
            f"the name {os.fsencode(entry.name)!r} in {folder!r} is not UTF-8; rename it"
        ) from None
    return entry.name

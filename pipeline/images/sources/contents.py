"""The contents of a folder, as far as they determine which kind of dataset it is."""

import posixpath
from collections import Counter
from dataclasses import dataclass

from pipeline.files.tabular import SUFFIXES as TABLES
from pipeline.images.sources.image_files import images_below, is_image
from pipeline.images.sources.leftovers import Leftovers
from pipeline.images.sources.splits import folder_split

COMPRESSED = (".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")
"""Archives that cannot be read by byte range."""

_METADATA = "metadata"
_MOST = 100_000
_SHOWN = 4


@dataclass(frozen=True)
class Contents:
    """How many files of each suffix are below a folder, and whether some are images."""

    counts: Counter[str]
    images: bool

    def has(self, suffixes: tuple[str, ...]) -> bool:
        """Return whether there is a file of one of these suffixes."""
        return any(self.counts[suffix] for suffix in suffixes)

    def __str__(self) -> str:
        """Return the counts for an error message, the most frequent first."""
        shown = [f"{count:,} {suffix}" for suffix, count in self.counts.most_common(_SHOWN)]
        if len(self.counts) > _SHOWN:
            shown.append(f"{len(self.counts) - _SHOWN} other kinds")
        return ", ".join(shown) or "no files"

    @property
    def advice(self) -> str:
        """What to do about a folder that contains nothing that can be read."""
        if self.has(COMPRESSED):
            return "; unpack the archives to .tar"
        if self.has((".zip",)):
            return "; unpack the archives to folders, one per class"
        if self.has(TABLES):
            return "; to read a table of image paths, set dataset.source to its file"
        return "; check dataset.source"


def contents_below(folder: str) -> Contents:
    """Count the files below a folder until an image is found, or 100,000 files have been seen."""
    counts: Counter[str] = Counter()
    for number, (uri, _) in enumerate(images_below(folder, lambda name: True, Leftovers())):
        if is_image(uri) or number >= _MOST:
            return Contents(counts, is_image(uri))
        counts[_suffix(uri)] += 1
    return Contents(counts, False)


def first_image_in_a_folder(root: str) -> str | None:
    """Return the first image that is not at the top level, or None."""
    found = images_below(root, is_image, Leftovers())
    return next((uri for uri, _ in found if "/" in uri), None)


def several_class_folders(root: str) -> bool:
    """Return whether there are images in two folders that are not splits (or two within them)."""
    met: set[str] = set()
    for uri, _ in images_below(root, is_image, Leftovers()):
        folders = uri.split("/")[:-1]
        folders = folders[1:] if folders and folder_split(folders[0]) else folders
        met.update(folders[:1])
        if len(met) > 1:
            return True
    return False


def is_metadata(name: str) -> bool:
    """Return whether a file is the table that Hugging Face's ImageFolder keeps next to images."""
    stem, suffix = posixpath.splitext(posixpath.basename(name).lower())
    return stem == _METADATA and suffix in TABLES


def _suffix(name: str) -> str:
    low = posixpath.basename(name).lower()
    double = next((suffix for suffix in COMPRESSED if low.endswith(suffix)), None)
    return double or posixpath.splitext(low)[1][:20] or "file without a suffix"

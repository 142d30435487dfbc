"""Image files below a folder or a prefix, in order of their paths."""

import os
from collections.abc import Callable
from functools import partial

from pipeline.files.tree import Files, files_below
from pipeline.images.sources.leftovers import Leftovers

SUFFIXES = frozenset(
    {".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg"}
    | {".jpg", ".jpx", ".jxl", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff"}
    | {".webp"}
)
"""Suffixes of image files. Those that cannot be decoded are included, in order to be reported."""

NOT_IMAGES = "files that are not images"
SYSTEM_FOLDERS = "hidden and system folders"


def is_image(name: str) -> bool:
    """Return whether a file or a member of an archive is an image by its name."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def images_below(root: str, wanted: Callable[[str], bool], leftovers: Leftovers) -> Files:
    """Yield the files whose names are ``wanted``; others are left over, hidden files are skipped.

    In order of their paths; see :func:`pipeline.files.tree.files_below`.

    Raises
    ------
    DatasetError
        A folder cannot be listed, or a name is not UTF-8.
    """
    other = partial(leftovers.add, NOT_IMAGES)
    loop = partial(leftovers.add, "links to a folder above them")
    return files_below(root, wanted, other, loop, partial(leftovers.add, SYSTEM_FOLDERS))

"""Places: one interface for files and folders on a disk and in object stores.

A place is a local path, a ``file://`` URL or that of an object store (:mod:`pipeline.files.urls`).
Callers need not know which: only this package does.
"""

import errno
import io
import os
import posixpath
import shutil
import stat
from pathlib import Path
from typing import BinaryIO, Literal, cast

import obstore
from obstore.exceptions import BaseError, InvalidPathError

from pipeline.errors import DatasetError, first_line
from pipeline.files.object_store import Objects, open_url, repeated
from pipeline.files.ranged_file import RangedFile
from pipeline.files.urls import is_remote, local

_NOT_THERE = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL,
    errno.ENXIO,
}  # fmt: skip


def absent(error: OSError) -> bool:
    """Return whether an I/O error means that there is no such file, now and after any retry."""
    return isinstance(error, FileNotFoundError) or error.errno in _NOT_THERE


def open_file(place: str) -> BinaryIO:
    """Open a file for reading at any place; a remote one is read by ranges."""
    if not is_remote(place):
        return open(local(place), "rb")
    root, _, name = place.rpartition("/")
    return cast(BinaryIO, RangedFile(open_url(root), name))


def read_text(place: str) -> str:
    """Read a small text file.

    Raises
    ------
    OSError, UnicodeDecodeError
        It is not there, cannot be read, or is not UTF-8.
    """
    try:
        with open_file(place) as file:
            # Universal newlines, as when Python opens a text file.
            return io.StringIO(file.read().decode(), newline=None).getvalue()
    except BaseError as error:
        raise OSError(first_line(error)) from error


def file_size(place: str) -> int | None:
    """Return the size of a file in bytes, or None where there is no regular file or no object.

    Raises
    ------
    OSError
        The size cannot be determined; trying again may help.
    """
    try:
        if is_remote(place):
            store, key = Objects().at(place)
            return obstore.head(store, key)["size"]
        status = os.stat(local(place))
    except InvalidPathError:
        return None
    except BaseError as error:
        raise OSError(first_line(error)) from error
    except OSError as error:
        if absent(error):
            return None
        raise
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def look_at(place: str) -> Literal["file", "folder", "missing", "unknown"]:
    """Return what is at a place, without a request: ``unknown`` in object stores."""
    if is_remote(place):
        return "unknown"
    if os.path.isdir(local(place)):
        return "folder"
    return "file" if os.path.exists(local(place)) else "missing"


def free_bytes(place: str) -> int | None:
    """Return the free bytes of the disk where a place is or will be; None for object stores."""
    if is_remote(place):
        return None
    path = Path(local(place)).absolute()
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    return shutil.disk_usage(there).free


def top_of(folder: str) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the files at the top of a folder or a prefix.

    Raises
    ------
    DatasetError
        It cannot be listed.
    """
    if not is_remote(folder):
        try:
            with os.scandir(local(folder)) as entries:
                found = [(entry.name, entry.is_dir()) for entry in entries]
        except OSError as error:
            raise DatasetError(f"cannot list the folder {folder}: {error.strerror}") from error
        return [n for n, inner in found if inner], [n for n, inner in found if not inner]
    try:
        listed = repeated(obstore.list_with_delimiter)(open_url(folder))
    except (BaseError, OSError) as error:
        raise DatasetError(f"cannot list {folder}: {first_line(error)}") from error
    folders = [posixpath.basename(path) for path in listed["common_prefixes"]]
    return folders, [posixpath.basename(item["path"]) for item in listed["objects"]]


def text_name(name: str, folder: str) -> str:
    """Return a file name if it is valid UTF-8; other names cannot be indexed."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DatasetError(
            f"the name {os.fsencode(name)!r} in {folder!r} is not UTF-8; rename it"
        ) from None
    return name

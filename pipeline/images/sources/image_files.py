"""Image files below a folder or a prefix, in order of their paths."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.errors import DatasetError
from pipeline.files.listing import list_files
from pipeline.files.read_ahead import THREADS
from pipeline.files.remote import is_remote
from pipeline.images.sources.leftovers import Leftovers

NOT_IMAGES = "files that are not images"

Images = Iterator[tuple[str, int | None]]
"""Relative posix path and bytes; None for a dangling link and whatever else is no file."""


@dataclass(frozen=True)
class _Listed:
    """What lies in a folder, sorted; folders end in a slash and have no size."""

    real: str
    named: list[tuple[str, int | None]]
    others: list[str]


def images_below(root: str, wanted: Callable[[str], bool], leftovers: Leftovers) -> Images:
    """Yield the files whose names are ``wanted``; others are left over, hidden ones not even that.

    On a disk 16 folders are listed side by side and symbolic links are followed, each folder at
    most once on a path; memory is that of the 16 largest folders. An object store is listed page by
    page.

    Raises
    ------
    DatasetError
        A folder cannot be listed, or a name is no text.
    """
    if is_remote(root):
        for file in list_files(root):
            parts = file.uri.split("/")
            if any(part.startswith(".") for part in parts):
                continue
            if wanted(parts[-1]):
                yield file.uri, file.size
            else:
                leftovers.add(NOT_IMAGES, file.uri)
        return
    with ThreadPoolExecutor(THREADS, thread_name_prefix="list") as pool:

        def look(prefix: str) -> Future[_Listed]:
            return pool.submit(_listed, root, prefix, wanted)

        yield from _walk(look, look(""), "", (), leftovers)


def _walk(
    look: Callable[[str], Future[_Listed]],
    listing: Future[_Listed],
    prefix: str,
    above: tuple[str, ...],
    leftovers: Leftovers,
) -> Images:
    """Yield what is below ``prefix``; the folders in it are listed a little ahead of their turn.

    A folder sorts by its name with a slash, so that the order is that of whole paths.
    """
    folder = listing.result()
    if folder.real in above:
        leftovers.add("links to a folder above them", prefix.rstrip("/"))
        return
    for name in folder.others:
        leftovers.add(NOT_IMAGES, prefix + name)
    coming = iter([name for name, _ in folder.named if name.endswith("/")])
    waiting: deque[Future[_Listed]] = deque()
    for name, size in folder.named:
        if not name.endswith("/"):
            yield prefix + name, size
            continue
        while len(waiting) < THREADS and (following := next(coming, None)) is not None:
            waiting.append(look(prefix + following))
        yield from _walk(look, waiting.popleft(), prefix + name, (*above, folder.real), leftovers)


def _listed(root: str, prefix: str, wanted: Callable[[str], bool]) -> _Listed:
    folder = os.path.join(root, prefix)
    named: list[tuple[str, int | None]] = []
    others: list[str] = []
    for entry in entries_of(folder):
        if entry.name[0] == ".":
            continue
        if entry.is_dir():
            named.append((name_of(entry, folder) + "/", None))
        elif wanted(entry.name):
            named.append((name_of(entry, folder), _size(entry)))
        else:
            others.append(os.fsencode(entry.name).decode("utf-8", "backslashreplace"))
    named.sort(key=lambda pair: pair[0])
    return _Listed(os.path.realpath(folder), named, sorted(others))


def entries_of(path: str) -> list[os.DirEntry[str]]:
    """Return what is in a folder; DatasetError if it cannot be listed."""
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError as error:
        raise DatasetError(f"cannot list the folder {path}: {error.strerror}") from error


def name_of(entry: os.DirEntry[str], folder: str) -> str:
    """Return a file name if it is text at all; bytes that are not UTF-8 cannot be indexed."""
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        raise DatasetError(
            f"the name {os.fsencode(entry.name)!r} in {folder!r} is not UTF-8; rename it"
        ) from None
    return entry.name


def _size(entry: os.DirEntry[str]) -> int | None:
    try:
        return entry.stat().st_size if entry.is_file() else None
    except OSError:
        return None

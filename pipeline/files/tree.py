"""Files below a folder or a prefix, in order of their paths; links on a disk are followed."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.errors import DatasetError
from pipeline.files.listing import list_files
from pipeline.files.places import text_name
from pipeline.files.read_ahead import THREADS
from pipeline.files.urls import is_remote, local

Files = Iterator[tuple[str, int | None]]
"""Relative posix path and bytes; None for a dangling link and whatever else is no file."""

Named = Callable[[str], object]
"""Is called with each relative path that is passed over."""


@dataclass(frozen=True)
class _Listed:
    """What lies in a folder, sorted; folders end in a slash and have no size."""

    real: str
    named: list[tuple[str, int | None]]
    others: list[str]


def files_below(root: str, wanted: Callable[[str], bool], other: Named, loop: Named) -> Files:
    """Yield the files whose names are ``wanted``; ``other`` gets the rest, but no hidden ones.

    On a disk 16 folders are listed side by side and symbolic links are followed, each folder at
    most once on a path: ``loop`` gets a link to a folder above it. Memory is that of the 16 largest
    folders. An object store is listed page by page.

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
                other(file.uri)
        return
    with ThreadPoolExecutor(THREADS, thread_name_prefix="list") as pool:

        def look(prefix: str) -> Future[_Listed]:
            return pool.submit(_listed, local(root), prefix, wanted)

        yield from _walk(look, look(""), "", (), other, loop)


def _walk(
    look: Callable[[str], Future[_Listed]],
    listing: Future[_Listed],
    prefix: str,
    above: tuple[str, ...],
    other: Named,
    loop: Named,
) -> Files:
    """Yield what is below ``prefix``; the folders in it are listed a little ahead of their turn.

    A folder sorts by its name with a slash, so that the order is that of whole paths.
    """
    folder = listing.result()
    if folder.real in above:
        loop(prefix.rstrip("/"))
        return
    for name in folder.others:
        other(prefix + name)
    coming = iter([name for name, _ in folder.named if name.endswith("/")])
    waiting: deque[Future[_Listed]] = deque()
    for name, size in folder.named:
        if not name.endswith("/"):
            yield prefix + name, size
            continue
        while len(waiting) < THREADS and (following := next(coming, None)) is not None:
            waiting.append(look(prefix + following))
        inner = (*above, folder.real)
        yield from _walk(look, waiting.popleft(), prefix + name, inner, other, loop)


def _listed(root: str, prefix: str, wanted: Callable[[str], bool]) -> _Listed:
    folder = os.path.join(root, prefix)
    named: list[tuple[str, int | None]] = []
    others: list[str] = []
    try:
        with os.scandir(folder) as scanned:
            entries = list(scanned)
    except OSError as error:
        raise DatasetError(f"cannot list the folder {folder}: {error.strerror}") from error
    for entry in entries:
        if entry.name[0] == ".":
            continue
        if entry.is_dir():
            named.append((text_name(entry.name, folder) + "/", None))
        elif wanted(entry.name):
            named.append((text_name(entry.name, folder), _size(entry)))
        else:
            others.append(os.fsencode(entry.name).decode("utf-8", "backslashreplace"))
    named.sort(key=lambda pair: pair[0])
    return _Listed(os.path.realpath(folder), named, sorted(others))


def _size(entry: os.DirEntry[str]) -> int | None:
    try:
        return entry.stat().st_size if entry.is_file() else None
    except OSError:
        return None

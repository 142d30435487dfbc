"""Files below a folder or a prefix, in order of their paths; links on a disk are followed."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import DatasetError
from pipeline.files.listing import list_files
from pipeline.files.places import text_name, top_of
from pipeline.files.read_ahead import THREADS
from pipeline.files.urls import is_remote, local

Files = Iterator[tuple[str, int | None]]
"""Relative posix path and size in bytes; None for a dangling link or anything but a file."""

_SYSTEM = frozenset(
    {"__macosx", "lost+found", "@eadir", "#recycle", "#snapshot", "@tmp", "$recycle.bin"}
    | {"system volume information", "__pycache__"}
)
"""Folders that macOS, Linux, network disks, Windows and Python create."""

Named = Callable[[str], object]
"""Called with each relative path that is skipped."""


@dataclass(frozen=True)
class _Listed:
    """The contents of a folder, sorted; folders end in a slash and have no size."""

    real: str
    named: list[tuple[str, int | None]]
    others: list[str]
    system: list[str]


def is_system(name: str) -> bool:
    """Return whether a file or folder is hidden or belongs to an operating system."""
    return name.startswith(".") or name.lower() in _SYSTEM


def files_below(
    root: str, wanted: Callable[[str], bool], other: Named, loop: Named, system: Named
) -> Files:
    """Yield the files whose names are ``wanted``; ``other`` gets the rest, but no hidden ones.

    On a disk 16 folders are listed in parallel and symbolic links are followed, each folder at
    most once on a path: ``loop`` gets a link to a folder above it. ``system`` gets hidden and
    system folders, which are not entered. Memory is that of the 16 largest folders. An object
    store is listed page by page.

    Raises
    ------
    DatasetError
        A folder cannot be listed, or a name is not UTF-8.
    """
    if is_remote(root):
        folders: dict[str, None] = {}
        for file in list_files(root):
            parts = file.uri.split("/")
            hidden = next((n for n, part in enumerate(parts, 1) if is_system(part)), None)
            if hidden is not None:
                if hidden < len(parts):
                    folders.setdefault("/".join(parts[:hidden]))
                continue
            if wanted(parts[-1]):
                yield file.uri, file.size
            else:
                other(file.uri)
        for name in folders:
            system(name)
        return
    with ThreadPoolExecutor(THREADS, thread_name_prefix="list") as pool:

        def look(prefix: str) -> Future[_Listed]:
            return pool.submit(_listed, local(root), prefix, wanted)

        yield from _walk(look, look(""), "", (), (other, loop, system))


def nearest_below(
    folder: str, wanted: Callable[[str], bool]
) -> Literal["here", "deeper", "nowhere"]:
    """Return whether a folder or prefix holds a wanted file itself, only in folders below, or none.

    The search stops at the first such file; hidden and system folders are skipped.

    Raises
    ------
    DatasetError
        A folder cannot be listed.
    """
    if is_remote(folder):
        for file in list_files(folder):
            parts = file.uri.split("/")
            if wanted(parts[-1]) and not any(map(is_system, parts)):
                return "here" if len(parts) == 1 else "deeper"
        return "nowhere"
    waiting, below = deque([local(folder)]), False
    seen = {os.path.realpath(os.path.dirname(local(folder)))}
    while waiting:
        place = waiting.popleft()
        if (real := os.path.realpath(place)) in seen:
            continue
        seen.add(real)
        folders, files = top_of(place)
        if any(wanted(name) and not is_system(name) for name in files):
            return "deeper" if below else "here"
        waiting += [f"{place}/{name}" for name in folders if not is_system(name)]
        below = True
    return "nowhere"


def _walk(
    look: Callable[[str], Future[_Listed]],
    listing: Future[_Listed],
    prefix: str,
    above: tuple[str, ...],
    passed: tuple[Named, Named, Named],
) -> Files:
    """Yield the files below ``prefix``; the folders in it are listed ahead of their turn.

    A folder sorts by its name with a slash, so that the order is that of whole paths.
    """
    folder = listing.result()
    other, loop, system = passed
    if folder.real in above:
        loop(prefix.rstrip("/"))
        return
    for name in folder.others:
        other(prefix + name)
    for name in folder.system:
        system(prefix + name)
    coming = iter([name for name, _ in folder.named if name.endswith("/")])
    waiting: deque[Future[_Listed]] = deque()
    for name, size in folder.named:
        if not name.endswith("/"):
            yield prefix + name, size
            continue
        while len(waiting) < THREADS and (following := next(coming, None)) is not None:
            waiting.append(look(prefix + following))
        inner = (*above, folder.real)
        yield from _walk(look, waiting.popleft(), prefix + name, inner, passed)


def _listed(root: str, prefix: str, wanted: Callable[[str], bool]) -> _Listed:
    folder = os.path.join(root, prefix)
    named: list[tuple[str, int | None]] = []
    others: list[str] = []
    system: list[str] = []
    try:
        with os.scandir(folder) as scanned:
            entries = list(scanned)
    except OSError as error:
        raise DatasetError(f"cannot list the folder {folder}: {error.strerror}") from error
    for entry in entries:
        if is_system(entry.name):
            if entry.is_dir():
                system.append(_shown(entry))
            continue
        if entry.is_dir():
            named.append((text_name(entry.name, folder) + "/", None))
        elif wanted(entry.name):
            named.append((text_name(entry.name, folder), _size(entry)))
        else:
            others.append(_shown(entry))
    named.sort(key=lambda pair: pair[0])
    return _Listed(os.path.realpath(folder), named, sorted(others), sorted(system))


def _shown(entry: os.DirEntry[str]) -> str:
    return os.fsencode(entry.name).decode("utf-8", "backslashreplace")


def _size(entry: os.DirEntry[str]) -> int | None:
    try:
        return entry.stat().st_size if entry.is_file() else None
    except OSError:
        return None

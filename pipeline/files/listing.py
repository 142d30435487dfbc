"""Files listed with their sizes, local or remote: of a folder, a glob or a brace expression."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import obstore

from pipeline.errors import ConfigError, DatasetError, first_line
from pipeline.files.braces import expand
from pipeline.files.object_store import open_url
from pipeline.files.urls import absolute, is_remote, local
from pipeline.nouns import agreeing, part_of

_PATTERN = re.compile(r"[*?\[{]")


@dataclass(frozen=True)
class File:
    """A file in a listing: relative posix URI, size in bytes, and a version of its content.

    ``version`` is the time of the last change, or the entity tag of an object.
    """

    uri: str
    size: int
    version: str


def find_files(
    source: str,
    suffixes: tuple[str, ...],
    other: Callable[[str], object] = lambda uri: None,
) -> tuple[str, list[File]]:
    """Return the root and the files of a file, a folder, a prefix, a glob or a brace expression.

    ``*`` and ``?`` match within one folder, ``**`` across folders; ``{000..049}`` and ``{a,b}``
    name files that must all exist. A path that exists exactly as written is not a pattern. Files
    are sorted by URI, those of braces in the order of the expression. ``other`` is called with
    each file of a folder that has none of the suffixes (case-insensitive).

    Raises
    ------
    DatasetError
        A named file is missing, nothing was found, or the place cannot be listed.
    """
    pattern = is_pattern(source)
    if pattern and "{" in source:
        root = _fixed(source)
        there = {file.uri: file for file in list_files(root)}
        names = [name[len(root) + 1 :] for name in expand(source)]
        if absent := [name for name in names if name not in there]:
            raise DatasetError(
                f"{part_of(len(absent), len(names), 'file')} of {source} "
                f"{agreeing(len(absent), 'is', 'are')} missing, first {absent[0][:200]!r}; "
                "check the numbers in braces"
            )
        return root, [there[name] for name in names]
    if pattern:
        root = _fixed(source)
        wanted = path_pattern(source[len(root) + 1 :])
        found = [file for file in list_files(root) if wanted.fullmatch(file.uri)]
    elif is_file(source, suffixes):
        root, _, name = source.rpartition("/")
        root = root or "/" if source.startswith("/") else root or "."
        found = [file for file in list_files(root, name) if file.uri == name]
    else:
        root, found = source.rstrip("/") or "/", []
        for file in list_files(root):
            if file.uri.lower().endswith(suffixes):
                found.append(file)
            else:
                other(file.uri)
    if not found:
        raise DatasetError(f"there is no {' or '.join(suffixes)} file at {source}")
    return absolute(root), found


def is_pattern(source: str) -> bool:
    """Return whether a place is a glob or a brace expression: it looks like one and is no file."""
    if not _PATTERN.search(source):
        return False
    return not (_there(source) if is_remote(source) else os.path.exists(local(source)))


def is_file(source: str, suffixes: tuple[str, ...]) -> bool:
    """Return whether a place names one file by its suffix, and not a folder with such a name."""
    folder = not is_remote(source) and os.path.isdir(local(source))
    return source.lower().endswith(suffixes) and not folder and not is_pattern(source)


def list_files(root: str, name: str = "") -> Iterator[File]:
    """Yield the files below a folder or a prefix, sorted by URI; only ``name`` if it is given.

    Raises
    ------
    DatasetError
        It cannot be listed.
    """
    return _remote_files(root, name) if is_remote(root) else _local_files(local(root), name)


def listing_hash(*values: object) -> str:
    """Return a hash of plain values."""
    return hashlib.blake2b(
        repr(values).encode("utf-8", "backslashreplace"), digest_size=16
    ).hexdigest()


def _there(url: str) -> bool:
    """Return whether there is an object or a prefix of exactly this name."""
    folder, _, name = url.rstrip("/").rpartition("/")
    try:
        if any(page for page in obstore.list(open_url(url), chunk_size=1)):
            return True
        obstore.head(open_url(folder), name)
    except (FileNotFoundError, obstore.exceptions.InvalidPathError):
        return False
    except obstore.exceptions.BaseError as error:
        raise DatasetError(f"cannot list {url}: {first_line(error)}") from error
    return True


def _fixed(source: str) -> str:
    """Return the folder above the first wildcard."""
    match = _PATTERN.search(source)
    folder = source[: match.start() if match else None].rpartition("/")[0]
    return folder or ("/" if source.startswith("/") else ".")


def path_pattern(pattern: str) -> re.Pattern[str]:
    """Return a pattern of paths: ``*`` and ``?`` within a folder, ``**`` across folders.

    Raises
    ------
    ConfigError
        Brackets in it are not a valid range of characters.
    """
    translated = re.escape(pattern).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    translated = translated.replace(r"\?", "[^/]")
    translated = re.sub(r"\\\[(.*?)\\\]", r"[\1]", translated).replace(r"\-", "-")
    try:
        return re.compile(translated)
    except re.error as error:
        raise ConfigError(f"the pattern {pattern!r} is not valid: {error}") from error


def _local_files(folder: str, only: str) -> Iterator[File]:
    if not os.path.isdir(folder):
        raise DatasetError(f"there is no folder {folder}; check dataset.source")
    names = [only] if only else sorted(_below(folder))
    for name in names:
        try:
            status = os.stat(os.path.join(folder, name))
            name.encode()
        except (OSError, UnicodeEncodeError):
            continue
        yield File(name, status.st_size, str(status.st_mtime_ns))


def _below(folder: str) -> Iterator[str]:
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "."]
        relative = os.path.relpath(path, folder)
        for name in names:
            yield name if relative == "." else f"{relative}/{name}"


def _remote_files(root: str, only: str) -> Iterator[File]:
    """List a prefix page by page; object stores sort keys by bytes, which is the order of paths."""
    try:
        store = open_url(root)
        found = [[obstore.head(store, only)]] if only else obstore.list(store, chunk_size=1000)
        last = ""
        for page in found:
            for item in page:
                if item["path"] < last:
                    raise DatasetError(f"{root} does not list its objects in order; use a table")
                last = item["path"]
                version = item["e_tag"] or str(item["last_modified"])
                yield File(last, item["size"], version)
    except FileNotFoundError:
        return
    except obstore.exceptions.InvalidPathError as error:
        raise DatasetError(
            f"an object below {root} has a name that is not a valid path: {first_line(error)}; "
            "rename it"
        ) from error
    except obstore.exceptions.BaseError as error:
        raise DatasetError(f"cannot list {root}: {first_line(error)}") from error

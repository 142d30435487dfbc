"""``Reader``: bytes of many small files or ranges, from a disk or an object store."""

import os
import stat
import sys

import obstore
from obstore.exceptions import BaseError, InvalidPathError

from pipeline.errors import first_line
from pipeline.files.object_store import Objects
from pipeline.files.places import absent
from pipeline.files.urls import is_remote, local

_PIECE = 1 << 22


class TooLarge(Exception):
    """A file has more bytes than may be read."""


class Reader:
    """Reads whole files and ranges of files; safe to share between threads.

    Every bucket is opened once.
    """

    def __init__(self) -> None:
        self._objects = Objects()

    def read(
        self, place: str, offset: int | None = None, length: int | None = None, *, most: int
    ) -> bytes:
        """Return the whole file, or ``length`` bytes (None: all) from ``offset`` of it.

        A range that reaches beyond the end returns the bytes up to the end.

        Raises
        ------
        FileNotFoundError
            There is no such file, or it is not a regular file: trying again will not help.
        TooLarge
            It, or the range, has more than ``most`` bytes.
        OSError
            Any other failure: trying again may help.
        """
        if offset is not None:
            _check(length, most)
        if is_remote(place):
            return self._object(place, offset, length, most)
        return _file(local(place), offset, length, most)

    def _object(self, url: str, offset: int | None, length: int | None, most: int) -> bytes:
        try:
            store, key = self._objects.at(url)
            if offset is None:
                found = obstore.get(store, key)
                _check(found.meta["size"], most)
                return bytes(found.bytes())
            if length is None:
                rest = obstore.get(store, key, options={"range": {"offset": offset}})
                return bytes(rest.bytes())
            return (
                bytes(obstore.get_range(store, key, start=offset, length=length)) if length else b""
            )
        except InvalidPathError as error:
            raise FileNotFoundError(f"no object can be named {url!r}") from error
        except BaseError as error:
            if " 416 " in str(error):  # the range begins beyond the end
                return b""
            raise OSError(f"cannot read {url}: {first_line(error)}") from error


def _file(path: str, offset: int | None, length: int | None, most: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if absent(error):
            raise FileNotFoundError(error.errno, error.strerror, path) from error
        raise
    except ValueError as error:
        raise FileNotFoundError(f"no file can be named {path!r}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(f"{path!r} is not a regular file")
        if offset is None:
            _check(os.fstat(descriptor).st_size, most)
            return _pieces(descriptor, None)
        os.lseek(descriptor, offset, os.SEEK_SET)
        return _pieces(descriptor, length)
    finally:
        os.close(descriptor)


def _check(size: int | None, most: int) -> None:
    if size is not None and size > most:
        raise TooLarge(f"{size:,} bytes are more than {most:,}")


def _pieces(descriptor: int, length: int | None) -> bytes:
    """Read to the end, or ``length`` bytes; the system may return them in several pieces."""
    pieces = []
    left = length if length is not None else sys.maxsize
    while left > 0 and (piece := os.read(descriptor, min(left, _PIECE))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)

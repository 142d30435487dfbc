"""Bytes of an image from where the index says they are."""

import os
import re
import stat
import sys

import obstore
from obstore.exceptions import BaseError, InvalidPathError

from pipeline.files.remote import Objects, first_line, is_remote, local
from pipeline.images.reasons import Reason, Unusable
from pipeline.images.row_groups import Rows
from pipeline.images.sources.root import MARK, absent, location

_PIECE = 1 << 22
_LARGEST = 1 << 30
"""Bytes of an encoded image; a larger file is a bomb, whatever it would decode to."""
_PARQUET = re.compile(r"(?P<file>[^#]+\.(?:parquet|pq))#(?P<group>\d+)/(?P<row>\d+)/(?P<column>.+)")


class Fetcher:
    """Reads images below a root; safe to share between threads.

    A file, a byte range of an archive, an object, a range of one, or a row of a Parquet file: the
    URI says which. Rows of a Parquet file are read by row group, of which the last two are kept.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._objects = Objects()
        self._rows = Rows()

    def fetch(self, uri: str, offset: int | None = None, length: int | None = None) -> bytes:
        """Return the whole object, or ``length`` bytes from ``offset`` of it.

        Without an offset ``length`` is only what the index once saw and is ignored. A range that
        reaches beyond the end returns what there is. With an offset, what follows ``#`` names the
        member of an archive and is not part of the path.

        Raises
        ------
        FileNotFoundError
            There is no such file, or it is no regular file: trying again will not help.
        Unusable
            It has more than 1 GiB, or is in a damaged Parquet file.
        OSError
            Any other failure: trying again may help.
        """
        if offset is not None:
            if match := _PARQUET.fullmatch(uri):
                place = location(self.root, match["file"])
                return self._rows.image(
                    place, int(match["group"]), int(match["row"]), match["column"]
                )
            uri = uri.partition(MARK)[0]
            _check_size(length)
        place = location(self.root, uri)
        if is_remote(place):
            return self._object(place, offset, length)
        return _file(local(place), offset, length)

    def _object(self, url: str, offset: int | None, length: int | None) -> bytes:
        try:
            store, key = self._objects.at(url)
            if offset is None:
                found = obstore.get(store, key)
                _check_size(found.meta["size"])
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


def _file(path: str, offset: int | None, length: int | None) -> bytes:
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
            _check_size(os.fstat(descriptor).st_size)
            return _read(descriptor, None)
        os.lseek(descriptor, offset, os.SEEK_SET)
        return _read(descriptor, length)
    finally:
        os.close(descriptor)


def _check_size(size: int | None) -> None:
    if size is not None and size > _LARGEST:
        raise Unusable(Reason.BOMB)


def _read(descriptor: int, length: int | None) -> bytes:
    """Read to the end, or ``length`` bytes; the system may hand them out in several pieces."""
    pieces = []
    left = length if length is not None else sys.maxsize
    while left > 0 and (piece := os.read(descriptor, min(left, _PIECE))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)

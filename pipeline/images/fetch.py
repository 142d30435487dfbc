"""Bytes of an image from where the index says they are."""

import os
import stat
import sys

from pipeline.images.uris import absent, is_url, local_path

_PIECE = 1 << 22


class Fetcher:
    """Reads images below a root; safe to share between threads.

    Object stores have their place here: one more way to read a range, chosen by the scheme.
    """

    def __init__(self, root: str) -> None:
        if is_url(root):
            raise ValueError(f"cannot fetch from {root}; give a local folder")
        self.root = root

    def fetch(self, uri: str, offset: int | None = None, length: int | None = None) -> bytes:
        """Return the whole object, or ``length`` bytes from ``offset`` of it.

        Without an offset ``length`` is only what the index once saw and is ignored. A range that
        reaches beyond the end returns what there is.

        Raises
        ------
        FileNotFoundError
            There is no such file, or it is no regular file: trying again will not help.
        OSError
            Any other failure: trying again may help.
        """
        path = local_path(self.root, uri)
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
                return _read(descriptor, None)
            os.lseek(descriptor, offset, os.SEEK_SET)
            return _read(descriptor, length)
        finally:
            os.close(descriptor)


def _read(descriptor: int, length: int | None) -> bytes:
    """Read to the end, or ``length`` bytes; the system may hand them out in several pieces."""
    pieces = []
    left = length if length is not None else sys.maxsize
    while left > 0 and (piece := os.read(descriptor, min(left, _PIECE))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)

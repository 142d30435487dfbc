"""The bytes of an image, read from its place in the index."""

import re

from pipeline.files.reader import Reader, TooLarge
from pipeline.files.root import MARK, location
from pipeline.files.urls import is_remote
from pipeline.images.reasons import Reason, Unusable
from pipeline.images.row_groups import Rows

_LARGEST = 1 << 30
"""Bytes of an encoded image; a larger file counts as a decompression bomb."""
_PARQUET = re.compile(
    r"(?P<file>[^#]+\.(?i:parquet|pq))#(?P<group>\d+)/(?P<row>\d+)/(?P<column>.+)"
)


class Fetcher:
    """Reads images below a root; safe to share between threads.

    The URI determines what is read: a file, a byte range of an archive, an object, a range of one,
    or a row of a Parquet file. Parquet files are read by row group; the last two are kept.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._reader = Reader()
        self._rows = Rows()

    def fetch(self, uri: str, offset: int | None = None, length: int | None = None) -> bytes:
        """Return the whole object, or ``length`` bytes from ``offset`` of it.

        Without an offset ``length`` is only the size at the time of the scan and is ignored. A
        range that reaches beyond the end returns the bytes up to the end. With an offset, what
        follows ``#`` names the member of an archive and is not part of the path.

        Raises
        ------
        FileNotFoundError
            There is no such file, or it is not a regular file: trying again will not help.
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
        try:
            return self._reader.read(location(self.root, uri), offset, length, most=_LARGEST)
        except TooLarge as error:
            raise Unusable(Reason.BOMB) from error

    def is_remote(self, uri: str) -> bool:
        """Whether an image is in an object store."""
        return is_remote(self.root) or is_remote(uri)

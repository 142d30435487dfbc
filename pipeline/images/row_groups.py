"""Images in the rows of Parquet files, read by row group."""

from collections import OrderedDict
from concurrent.futures import Future
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq
from obstore.exceptions import BaseError

from pipeline.errors import first_line
from pipeline.files.places import open_file
from pipeline.images.reasons import Reason, Unusable

_KEPT = 2
"""Row groups in memory: units read rows in order, and a batch may extend into the next group."""

_LARGEST = 4 << 30
"""Bytes of a row group's images: two larger groups would not fit in memory next to a model."""

_PIECE = 8
_Key = tuple[str, int, str]


class Rows:
    """Returns images row by row; only the first request for a row group reads the file.

    Thread-safe: threads that request the same row group wait for it.
    """

    def __init__(self) -> None:
        self._groups: OrderedDict[_Key, Future[pa.ChunkedArray]] = OrderedDict()
        self._lock = Lock()

    def image(self, place: str, group: int, row: int, column: str) -> bytes:
        """Return an image's bytes.

        Raises
        ------
        FileNotFoundError
            There is no such file or row, or the row holds no bytes.
        Unusable
            ``corrupt``: the row group is damaged; ``bomb``: it has more than 4 GiB of images.
        OSError
            Any other failure: trying again may help.
        """
        images = self._group((place, group, column))
        value = images[row].as_py() if row < len(images) else None
        if value is None:
            raise FileNotFoundError(f"row {row} of row group {group} of {place} has no image")
        return bytes(value)

    def _group(self, key: _Key) -> pa.ChunkedArray:
        with self._lock:
            known = self._groups.get(key)
            if mine := known is None:
                known = self._groups[key] = Future()
            self._groups.move_to_end(key)
            while len(self._groups) > _KEPT:
                self._groups.popitem(last=False)
        assert known is not None
        if mine:
            try:
                known.set_result(_read(*key))
            except BaseException as error:
                with self._lock:
                    self._groups.pop(key, None)
                known.set_exception(error)
        return known.result()


def _read(place: str, group: int, column: str) -> pa.ChunkedArray:
    try:
        with open_file(place) as file, pq.ParquetFile(file) as content:
            paths = [content.schema.column(n).path for n in range(len(content.schema.names))]
            leaf = f"{column}.bytes" if f"{column}.bytes" in paths else column
            if group >= content.num_row_groups or leaf not in paths:
                raise FileNotFoundError(f"{place} has no row group {group} of column {column}")
            chunk = content.metadata.row_group(group).column(paths.index(leaf))
            if chunk.total_uncompressed_size > _LARGEST:
                raise Unusable(Reason.BOMB)
            images = _decoded(content, group, leaf)
    except BaseError as error:
        raise OSError(f"cannot read {place}: {first_line(error)}") from error
    except OSError as error:
        if error.errno is None and not isinstance(error, FileNotFoundError):  # Arrow's own
            raise Unusable(Reason.CORRUPT) from error
        raise
    except pa.ArrowException as error:
        raise Unusable(Reason.CORRUPT) from error
    if not pa.types.is_struct(images.type):
        return images
    return pa.chunked_array([chunk.field("bytes") for chunk in images.chunks])


def _decoded(content: pq.ParquetFile, group: int, leaf: str) -> pa.ChunkedArray:
    """Read a column in pieces: a dictionary may repeat one value a million times."""
    pieces, size = [], 0
    for piece in content.iter_batches(_PIECE, [group], [leaf], use_threads=False):
        pieces.append(piece.column(0))
        if (size := size + piece.nbytes) > _LARGEST:
            raise Unusable(Reason.BOMB)
    return pa.chunked_array(pieces)

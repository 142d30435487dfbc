"""``RangedFile``: an object of a store as a file that is read by ranges."""

import io

import obstore
from obstore.store import ObjectStore


class RangedFile(io.RawIOBase):
    """An object as a seekable file; every read is one range request of the size asked for.

    Raises
    ------
    FileNotFoundError
        There is no such object.
    """

    def __init__(self, store: ObjectStore, path: str, size: int | None = None) -> None:
        self._store, self._path = store, path
        self._size = obstore.head(store, path)["size"] if size is None else size
        self._position = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position; nothing is read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Return up to ``size`` bytes in one request, fewer only at the end."""
        left = max(0, self._size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        if not wanted:
            return b""
        content = bytes(
            obstore.get_range(self._store, self._path, start=self._position, length=wanted)
        )
        self._position += len(content)
        return content

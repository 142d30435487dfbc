"""Tar archives without reading their contents: where each member is."""

import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from pipeline.errors import DatasetError
from pipeline.images.sources.leftovers import Leftovers

_WINDOW = 8_192
"""Bytes read at a header: the header, small labels after it and usually the next header."""
_LARGEST_READ = 1 << 20
_BLOCK = 512


@dataclass(frozen=True)
class Member:
    """A regular file of an archive: its name as text, first byte and length in the archive."""

    name: str
    offset: int
    length: int


class Windowed:
    """A file read in small windows, so that many small nearby reads become one request."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._start, self._window = 0, b""
        self._position = 0

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, position: int) -> int:
        """Go to a byte; nothing is read."""
        self._position = position
        return position

    def read(self, length: int) -> bytes:
        """Return up to ``length`` bytes, fewer only at the end of the file."""
        if length > _LARGEST_READ:
            raise tarfile.ReadError(f"a header of {length:,} bytes")
        content = self._within(length)
        if content is None:
            self._file.seek(self._position)
            self._start, self._window = self._position, self._read(max(length, _WINDOW))
            content = self._window[:length]
        self._position += len(content)
        return content

    def _within(self, length: int) -> bytes | None:
        first = self._position - self._start
        end = min(self._position + length, self._size) - self._start
        return self._window[first:end] if first >= 0 and end <= len(self._window) else None

    def _read(self, length: int) -> bytes:
        pieces = []
        while length > 0 and (piece := self._file.read(length)):
            pieces.append(piece)
            length -= len(piece)
        return b"".join(pieces)


def tar_members(file: Windowed, size: int, name: str, leftovers: Leftovers) -> Iterator[Member]:
    """Yield the regular files of an uncompressed tar archive, reading headers only.

    A hard link is the file that it links to, under its own name: that is how tar stores a file
    that it encounters twice. Symbolic links, devices and sparse files are left over. A member's
    name is never used as a path. Names that are not UTF-8 become text with escapes.

    Raises
    ------
    DatasetError
        The archive is truncated, damaged or compressed, or another one is appended to it;
        ``name`` is in the message.
    """
    last = 0
    places: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(fileobj=cast(BinaryIO, file), mode="r:") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]
                if member.size < 0 or member.offset < last:
                    raise tarfile.ReadError("a header points backwards")
                last = member.offset_data
                if last + member.size > size:
                    raise tarfile.ReadError(f"member {_text(member.name)!r} is cut off")
                text = _text(member.name)
                if member.isreg() and not member.issparse():
                    place = places[posixpath.normpath(member.name)] = last, member.size
                    yield Member(text, *place)
                elif member.islnk() and posixpath.normpath(member.linkname) in places:
                    place = places[posixpath.normpath(member.linkname)]
                    places[posixpath.normpath(member.name)] = place
                    yield Member(text, *place)
                elif not member.isdir():
                    leftovers.add(_kind(member), f"{name}#{text}")
            end = archive.offset
    except tarfile.TarError as error:
        raise DatasetError(f"{name} is not a valid tar archive: {error}; {_ADVICE}") from error
    file.seek(end)
    if file.read(_BLOCK) != bytes(_BLOCK):
        raise DatasetError(
            f"{name} is truncated or damaged at byte {end:,}: no end-of-archive marker; {_ADVICE}"
        )
    _check_end(file, end + _BLOCK, size, name, leftovers)


def _check_end(file: Windowed, place: int, size: int, name: str, leftovers: Leftovers) -> None:
    """Refuse another archive after the end-of-archive marker: only padding belongs there."""
    while place < size:
        file.seek(place)
        block = file.read(_BLOCK)
        if block.strip(b"\0"):
            break
        place += len(block)
    else:
        return
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        leftovers.add("archives with bytes behind their end mark", name)
        return
    raise DatasetError(
        f"{name} continues after its end-of-archive marker, with another archive at byte "
        f"{place:,}; archives joined with cat cannot be read: keep them separate, or join them "
        "with tar --concatenate"
    )


_ADVICE = "copy it again, unpacked if it was compressed, or leave it out of dataset.source"


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym():
        return "symbolic links in archives"
    if member.islnk():
        return "hard links in archives to what is not there"
    return "sparse files in archives" if member.isreg() else "devices in archives"


def _text(name: str) -> str:
    """Return a member's name as text that can be stored: bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

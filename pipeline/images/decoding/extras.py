"""Formats with optional decoders: HEIC (``flowatlas[heif]``), JPEG XL (``flowatlas[jxl]``)."""

import io
from typing import Any

from PIL import ImageFile

from pipeline.images.reasons import Reason, Unusable


def open_heif(file: io.BytesIO) -> ImageFile.ImageFile:
    """Open a HEIC or HEIF file; of several images the primary one is used.

    Raises
    ------
    Unusable
        ``unsupported``: pillow-heif is not installed.
    """
    try:
        from pillow_heif import options
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError as error:
        raise Unusable(Reason.UNSUPPORTED) from error
    options.DECODE_THREADS = 1  # workers have threads of their own
    plugin: Any = HeifImageFile
    image: ImageFile.ImageFile = plugin(file)
    return image


def open_jxl(file: io.BytesIO) -> ImageFile.ImageFile:
    """Open and decode a JPEG XL file, whose size :func:`jxl_header` has checked.

    Raises
    ------
    Unusable
        ``unsupported``: pillow-jxl-plugin is not installed.
    """
    try:
        from pillow_jxl import JpegXLImagePlugin
    except ImportError as error:
        raise Unusable(Reason.UNSUPPORTED) from error
    plugin: Any = JpegXLImagePlugin
    plugin.DECODE_THREADS = 0  # workers have threads of their own
    try:
        image: ImageFile.ImageFile = plugin.JXLImageFile(file)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic in its Rust code is not an Exception
        raise ValueError(f"cannot decode: {error}") from error
    if not getattr(
        image, "jpeg", False
    ):  # else the codestream's orientation applies, and already has
        image.info.pop("exif", None)
    return image


_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_EDGE_BITS = (9, 13, 18, 30)


class _Bits:
    """Bits of a codestream, the lowest of each byte first."""

    def __init__(self, content: bytes) -> None:
        self._value, self._left = int.from_bytes(content, "little"), 8 * len(content)

    def take(self, count: int) -> int:
        """Return the next bits as a number."""
        if (left := self._left - count) < 0:
            raise Unusable(Reason.TRUNCATED)
        value = self._value & ((1 << count) - 1)
        self._value, self._left = self._value >> count, left
        return value

    def size(self) -> tuple[int, int]:
        """Return width and height (ISO/IEC 18181-1, SizeHeader)."""
        small = self.take(1)

        def edge() -> int:
            return 8 * (1 + self.take(5)) if small else 1 + self.take(_EDGE_BITS[self.take(2)])

        height = edge()
        if ratio := self.take(3):
            return height * _RATIOS[ratio][0] // _RATIOS[ratio][1], height
        return edge(), height


def jxl_header(data: bytes) -> tuple[int, int, bool]:
    """Return width, height and whether a JPEG XL file is animated, without decoding it.

    Raises
    ------
    Unusable
        ``truncated``: the header is incomplete; ``unsupported``: the file starts with a preview.
    """
    bits = _Bits(_codestream(data)[2:66])
    width, height = bits.size()
    if bits.take(1) or not bits.take(1):  # all defaults, or no extra fields
        return width, height, False
    bits.take(3)  # orientation
    if bits.take(1):
        bits.size()
    if bits.take(1):
        raise Unusable(Reason.UNSUPPORTED, width, height)
    return width, height, bool(bits.take(1))


def _codestream(data: bytes) -> bytes:
    """Return the beginning of the codestream, bare or in the first box that holds some."""
    position = 0
    while data[:2] != b"\xff\x0a":
        if position + 16 > len(data):
            raise Unusable(Reason.TRUNCATED)
        size, name = (
            int.from_bytes(data[position : position + 4]),
            data[position + 4 : position + 8],
        )
        head = 16 if size == 1 else 8
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16])
        if name in (b"jxlc", b"jxlp"):
            start = position + head + (4 if name == b"jxlp" else 0)
            return data[start : start + 128]
        if size < head:
            raise Unusable(Reason.CORRUPT)
        position += size
    return data[:128]

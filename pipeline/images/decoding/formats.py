"""What the header of a file contains: its format, its canvas size, its orientation.

Only what must be known before a decoder may touch a file is read here.
"""

import re
import struct
import zlib

from pipeline.images.reasons import Reason, Unusable

_SIGNATURES = (
    ("jpeg", re.compile(rb"\xff\xd8\xff")),
    ("png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("gif", re.compile(rb"GIF8[79]a")),
    ("webp", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("tiff", re.compile(rb"II\*\x00|MM\x00\*|II\+\x00|MM\x00\+")),
    ("bmp", re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", re.DOTALL)),
    ("ppm", re.compile(rb"P[1-6][\s#]")),
    ("jpeg2000", re.compile(rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51")),
    ("avif", re.compile(rb"....ftyp(?:m[is]f1.{4}(?:.{4}){0,16}?)?avi[fs]", re.DOTALL)),
    ("heif", re.compile(rb"....ftyp(?:hei[cmsx]|hev[cmsx]|m[is]f1)", re.DOTALL)),
    ("jxl", re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL \r\n\x87\n")),
    (
        "other",
        re.compile(
            rb"....ftyp|%PDF|%!PS|8BPS|\x00\x00\x01\x00|gimp xcf|DDS |v/1\x01|#\?RADIANCE|P[7fF]\s"
            rb"|qoif|\s*<(svg\b|[?!](?!(?i:doctype html)).*<svg\b)",
            re.DOTALL,
        ),
    ),
)

PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf"})
"""Chunks of a PNG file that determine its pixels; text and profiles (zip bombs) are not."""


def sniff(data: bytes) -> str | None:
    """Return the format by signature: ``other`` is an unsupported image, None not an image."""
    head = data[:1024].removeprefix(b"\xef\xbb\xbf")
    return next((name for name, pattern in _SIGNATURES if pattern.match(head)), None)


def essential_png(data: bytes) -> bytes:
    """Return a PNG file reduced to the chunks that determine its pixels, checksums verified.

    Raises
    ------
    Unusable
        ``truncated`` (no IEND), ``corrupt`` (a checksum is wrong), ``animated``, or
        ``unsupported``: it has a critical chunk of an unknown type.
    """
    pieces = [data[:8]]
    position = 8
    while True:
        if position + 12 > len(data):
            raise Unusable(Reason.TRUNCATED)
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise Unusable(Reason.TRUNCATED)
        if kind == b"acTL" and data[position + 8 : position + 12] > b"\0\0\0\1":
            raise Unusable(Reason.ANIMATED)
        critical = not kind[0] & 0x20  # upper case
        if kind in PIXEL_CHUNKS or critical:
            chunk = data[position:end]
            if zlib.crc32(memoryview(chunk)[4:-4]) != int.from_bytes(chunk[-4:], "big"):
                raise Unusable(Reason.CORRUPT)
            if kind not in PIXEL_CHUNKS:  # intact, but the image may not be shown without it: CgBI
                raise Unusable(Reason.UNSUPPORTED)
            pieces.append(chunk)
        if kind == b"IEND":
            return b"".join(pieces)
        position = end


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a WebP canvas, which its decoder allocates at once.

    Raises
    ------
    Unusable
        ``truncated``: the file is shorter than its header states.
    """
    if len(data) < 30 or int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise Unusable(Reason.TRUNCATED)
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (int.from_bytes(data[i : i + 2], "little") & 0x3FFF for i in (26, 28))
    else:
        return None
    return width, height


def orientation(exif: bytes) -> int:
    """Return the orientation 1..8 of an EXIF block (EXIF 2.32, tag 0x0112); 1 if it has none."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for number in range(count):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * number)
            if tag == 0x0112:
                return value if kind == 3 and 1 <= value <= 8 else 1
    except struct.error:  # the block ends early
        pass
    return 1

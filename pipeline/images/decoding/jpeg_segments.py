"""The segments of a JPEG file: its EXIF block, and the file without parts that cause warnings."""

import re
from collections.abc import Iterator

_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""A marker that ends entropy-coded data: not a stuffed byte, a restart or a fill byte."""

_SOF = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_EOI, _SOS = 0xD9, 0xDA
_PIXELS = _SOF | {0xC4, 0xCC, 0xDB, 0xDC, 0xDD, _SOS, 0xE0, 0xEE}
"""Frames, tables, scans, and the colour information of JFIF and Adobe."""


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of every segment; of a scan those of its header.

    Bytes between segments are skipped, as decoders do.
    """
    position = 2
    while (position := data.find(b"\xff", position)) >= 0 and position + 4 <= len(data):
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker < 0x02 or 0xD0 <= marker <= 0xD8:  # has no length
            position += 2
        else:
            end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
            if marker == _EOI or end < position + 4:
                return
            yield marker, position, end
            position = end
            if marker == _SOS:
                found = _SCAN_END.search(data, end)
                position = found.start() if found else len(data)


def jpeg_exif(data: bytes) -> bytes:
    """Return the EXIF block of a JPEG file, or nothing."""
    for marker, start, end in segments(data):
        if marker == _SOS:
            break
        if marker == 0xE1 and data[start + 4 : start + 10] == b"Exif\0\0":
            return data[start + 4 : end]
    return b""


def essential_jpeg(data: bytes) -> bytes:
    """Return a JPEG file reduced to what determines its pixels, in the form of the standard.

    This removes what libjpeg warns about and ignores: bytes between segments, zeros after a scan,
    incomplete profiles, unknown versions of JFIF, unknown transforms of Adobe (libjpeg assumes the
    usual one) and scan parameters that a sequential file does not use. Damage stays.
    """
    found = list(segments(data))
    frame = next((data[start:end] for marker, start, end in found if marker in _SOF), b"")
    pieces = [data[:2]]
    for marker, start, end in found:
        if marker not in _PIXELS:
            continue
        segment = bytearray(data[start:end])
        if marker == 0xE0 and segment[4:9] == b"JFIF\0":
            segment[9:11] = b"\x01\x01"
        elif marker == 0xEE and segment[4:9] == b"Adobe" and segment[15:16] > b"\x02":
            segment[15] = 1 if frame[9:10] == b"\x03" else 2
        elif marker == _SOS and frame[1:2] in (b"\xc0", b"\xc1"):
            segment[-3:] = b"\x00\x3f\x00"
        pieces.append(bytes(segment))
        if marker == _SOS:
            after = _SCAN_END.search(data, end)
            scan = data[end : after.start() if after else len(data)]
            kept = len(scan.rstrip(b"\0")) + 1  # one zero may be data, or belong to a 0xff
            pieces.append(scan[:kept])
            if after is not None and data[after.start() + 1] == _EOI:
                pieces.append(b"\xff\xd9")
    return b"".join(pieces)

"""How strongly a JPEG file is compressed, from its quantisation tables."""

from bisect import bisect_left

from pipeline.images.decoding.jpeg_segments import segments

_DQT, _SOS = 0xDB, 0xDA

_LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
"""The standard's table (ITU-T T.81, table K.1), which encoders scale: quality 50 is the table."""


def jpeg_quality(data: bytes) -> int | None:
    """Return the quality of a JPEG file in the scale of the Independent JPEG Group, 1 to 100.

    It is the best quality whose luminance table is at least as coarse as the file's: the very one
    for files of libjpeg, something near it for those of other encoders. None if the file is no JPEG
    or has no table before its first scan.
    """
    if data[:2] != b"\xff\xd8":
        return None
    for marker, start, end in segments(data):
        if marker == _SOS:
            break
        if marker == _DQT and data[start + 4] & 15 == 0:
            size = 2 if data[start + 4] >> 4 else 1  # bytes of a value
            table = data[start + 5 : min(end, start + 5 + 64 * size)]
            if len(table) == 64 * size:
                values = (int.from_bytes(table[i : i + size]) for i in range(0, len(table), size))
                return _quality(sum(values))
    return None


def _quality(coarseness: int) -> int:
    """Return the quality whose table has this sum; sums fall as qualities rise."""
    return 100 - bisect_left(_SUMS, coarseness, hi=99)


def _sum_of(quality: int) -> int:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return sum(min(255, max(1, (value * scale + 50) // 100)) for value in _LUMINANCE)


_SUMS = [_sum_of(quality) for quality in range(100, 0, -1)]

"""Samples of more than eight bits: how many bits a file uses, and their conversion to eight.

A 16-bit sample may use 8, 10, 12 or 16 bits. The high byte alone shows 12-bit images as black;
stretching each image to its own range makes dark images bright. So the number of bits is stated by
the file or by the user, or the samples are so large that it can only be 16.
"""

import io
import struct
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from pipeline.images.reasons import Reason, Unusable

Open = Callable[[io.BytesIO], ImageFile.ImageFile]

_FULL = 16
_DARK = 1 << 14
"""If the brightest sample is below a quarter of the full range, the white point is unknown."""

_MAX_SAMPLE_VALUE = 281
_BITS_PER_SAMPLE = 258
_SAMPLE_FORMAT = 339
_WHITE_IS_ZERO = 0
_PHOTOMETRIC = 262
_OTHER_BYTE = {
    "B": "L",
    "L": "B",
    "N": "B" if sys.byteorder == "little" else "L",
}  # Pillow's names of byte orders: big, little, native


def stated_bits(data: bytes, kind: str, image: ImageFile.ImageFile) -> int | None:
    """Return how many bits of its samples a file declares as used; None if it does not.

    8 where samples have no more; 16 also where Pillow scales them to 16. A 16-bit format alone
    declares nothing: 12-bit scans are stored as 16 bits too.
    """
    if kind == "png":
        return 8 if data[24] <= 8 else None
    if kind == "tiff":
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        bits = max(tags.get(_BITS_PER_SAMPLE, (1,)))
        if bits == 8 and not is_unsigned(image):  # Pillow makes the darkest samples the brightest
            raise Unusable(Reason.UNSUPPORTED, *image.size)
        most = int(max(tags.get(_MAX_SAMPLE_VALUE, (0,))))
        if (
            bits == _FULL and most > 0xFF and most & (most + 1) == 0
        ):  # such as 4095, not the image's maximum
            return most.bit_length()
        return bits if 8 < bits < _FULL else 8 if bits <= 8 else None
    if kind == "ppm":  # other maxima are scaled
        codec, _, _, arguments = image.tile[0]
        scaled = codec.startswith("ppm") and isinstance(arguments, tuple)
        deep = arguments[-1] == 0xFFFF if scaled and arguments else image.mode == "I"
        return None if deep else _FULL if image.mode == "I" else 8
    if kind == "jpeg2000":
        precision = (data[data.index(b"\xff\x4f\xff\x51") + 42] & 0x7F) + 1
        return 8 if precision <= 8 else None if precision >= _FULL else _FULL
    if kind == "heif":
        return _FULL if image.mode.startswith("I") else 8
    return None if image.mode.startswith("I") else 8


def is_unsigned(image: ImageFile.ImageFile) -> bool:
    """Return whether the samples of a TIFF file are unsigned integers."""
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    return bool(max(tags.get(_SAMPLE_FORMAT, (1,))) in (1, 4))


def white_is_zero(kind: str, image: ImageFile.ImageFile) -> bool:
    """Return whether a TIFF file's samples are inverted and Pillow leaves them so."""
    if kind != "tiff" or image.mode[0] not in "IF":
        return False
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    return bool(tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO)


def significant_bits(data: bytes) -> int | None:
    """Return the bits of a PNG file's colours by its sBIT chunk (PNG 11.3.2.7); None without."""
    position = 8
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if name == b"IDAT":
            return None
        if name == b"sBIT":
            channels = min(length, 1 if data[25] in (0, 4) else 3)
            return max(data[position + 8 : position + 8 + channels], default=None)
        position += 12 + length
    return None


def used_bits(values: NDArray[np.uint16], significant: int | None) -> int | None:
    """Return the used bits of 16-bit PNG samples, given the significant ones; None if unknown.

    By the standard these are the upper bits, and the lower ones are zero or a copy of them. Many
    writers state the bits but do not shift the samples: then the lower bits are the used ones.
    """
    most = int(values.max(initial=0))
    if significant is None or significant >= _FULL:
        return significant and _FULL
    if most >= _DARK:
        return _FULL
    below = (1 << (_FULL - significant)) - 1
    return significant if most >> significant == 0 and bool((values & below).any()) else None


def eight_bits(values: NDArray[np.uint16], bits: int | None) -> NDArray[np.uint8]:
    """Return the upper 8 of the ``bits`` that samples (H, W, …) use, of all 16 if None.

    Raises
    ------
    Unusable
        ``bit_depth``: the number of used bits is unknown and the samples look like fewer than 16,
        or there are samples beyond ``bits``.
    """
    most = int(values.max(initial=0))
    if (bits is None and 0 < most < _DARK) or most >> (bits or _FULL):
        raise Unusable(Reason.BIT_DEPTH, values.shape[1], values.shape[0])
    return np.asarray(values >> ((bits or _FULL) - 8), np.uint8)


def eight_bit_colours(
    image: Image.Image, data: bytes, reopen: Open, bits: int | None, significant: int | None
) -> Image.Image:
    """Convert 16-bit colours, of which Pillow keeps the high byte, by the bits that they use.

    The low byte is read only where it can matter. ``bits`` are the used ones if known, else None;
    ``significant`` those that a PNG file declares.

    Raises
    ------
    Unusable
        As :func:`eight_bits`, or ``unsupported`` where Pillow does not give access to the low byte.
    """
    high = _colours(image)
    if bits == _FULL or (bits is None and int(high.max(initial=0)) > _DARK >> 8):
        return image
    values = _samples(high, data, reopen)
    if values is None:
        raise Unusable(Reason.BIT_DEPTH if bits is None else Reason.UNSUPPORTED, *image.size)
    shown = eight_bits(values, used_bits(values, significant) or bits)
    if shown.shape[2] == 4:
        return Image.frombytes("CMYK", image.size, shown.tobytes())
    return Image.fromarray(shown[..., 0] if shown.shape[2] == 1 else shown)


def _colours(image: Image.Image) -> NDArray[np.uint8]:
    """Return an image (H, W, C) without its alpha."""
    pixels = np.asarray(image)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return pixels[..., :-1] if image.mode in ("LA", "RGBA") else pixels


def _samples(high: NDArray[np.uint8], data: bytes, reopen: Open) -> NDArray[np.uint16] | None:
    """Return the 16-bit colours (H, W, C), by reading the file in the other byte order too."""
    with reopen(io.BytesIO(data)) as again:
        codec, _, offset, rawmode = again.tile[0]
        if codec == "ppm":
            samples = np.frombuffer(data, ">u2", high.size, offset)
            return samples.astype(np.uint16).reshape(high.shape)
        if rawmode == "LA;16B":  # two samples of two bytes are as many as four of one
            again._mode = "RGBA"
            again.tile = [tile._replace(args="RGBA") for tile in again.tile]
            again.load()
            pixels = np.asarray(again)
            high, low = pixels[..., :1], pixels[..., 1:2]
        else:
            swapped = [_swapped(tile.args) for tile in again.tile]
            if None in swapped:
                return None
            again.tile = [t._replace(args=a) for t, a in zip(again.tile, swapped, strict=True)]
            again.load()
            low = _colours(again)
    return np.asarray(high.astype(np.uint16) << 8 | low, np.uint16)


def _swapped(arguments: Any) -> Any:
    """Return a tile's arguments with the other byte order; None if they name none."""
    rawmode = arguments if isinstance(arguments, str) else arguments[0] if arguments else ""
    if not isinstance(rawmode, str) or rawmode[-4:-1] != ";16" or "a" in rawmode:
        return None
    other = rawmode[:-1] + _OTHER_BYTE[rawmode[-1]]
    return other if isinstance(arguments, str) else (other, *arguments[1:])

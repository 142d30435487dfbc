"""From bytes to an upright RGB image, or to the reason why there is none."""

import contextlib
import ctypes
import io
import logging
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    _imaging,
)

from pipeline.images.decoding.depth import (
    eight_bit_colours,
    is_unsigned,
    significant_bits,
    stated_bits,
    used_bits,
    white_is_zero,
)
from pipeline.images.decoding.extras import jxl_header, open_heif, open_jxl
from pipeline.images.decoding.formats import (
    essential_png,
    orientation,
    sniff,
    webp_size,
)
from pipeline.images.decoding.jpeg_segments import essential_jpeg, jpeg_exif
from pipeline.images.decoding.pixels import to_rgb
from pipeline.images.reasons import Reason, Unusable

# Warnings of decoders about metadata are not printed (they may contain terminal escapes) and must
# not become errors. Set once: all threads share these settings.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())
with contextlib.suppress(AttributeError, OSError):  # a Pillow whose libtiff is not accessible
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)

_Plugin = Callable[[io.BytesIO], ImageFile.ImageFile]

# Opened directly rather than by Image.open: that tries every format (PostScript included) and
# limits sizes by a global variable.
_PLUGINS: dict[str, _Plugin] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "ppm": PpmImagePlugin.PpmImageFile,
    "jpeg2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
    "heif": open_heif,
    "jxl": open_jxl,
}

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_UNREADABLE = re.compile(
    "unsupported|not (yet )?supported|unrecognized image mode|cannot handle|"
    "unknown (pixel mode|data organization|filter)|"
    "not available|unable to determine j2k|invalid value for samples per pixel"
)
"""Messages of Pillow for files that it does not support, in contrast to damaged ones."""

_TIFF_TAGS = range(254, 533)
"""Tags of the standard that Pillow looks up; compression codes are other numbers."""

_MOST_SCANS = 500  # a progressive JPEG of a few kB can ask for days of decoding


_Frame = Image.Image | NDArray[np.uint8]


@dataclass(frozen=True)
class Decoded:
    """An upright RGB image or a reason, never both; width and height in pixels, 0 if unknown.

    ``frame`` is the image as its decoder gives it: Pillow's, or uint8 (height, width, 3).
    """

    frame: _Frame | None
    reason: Reason | None
    width: int
    height: int

    @property
    def image(self) -> Image.Image | None:
        """The image as Pillow's."""
        return Image.fromarray(self.frame) if isinstance(self.frame, np.ndarray) else self.frame


def decode(data: bytes, max_pixels: int, bit_depth: int | None = None) -> Decoded:
    """Decode a JPEG, PNG, GIF, WebP, TIFF, BMP, PNM, JPEG 2000 or AVIF file; never raise.

    HEIC and JPEG XL too where their extras are installed; else they are ``unsupported``.

    EXIF orientation is applied, profiles are not; of several pages (TIFF, MPO) the first one is
    used, of HEIC the primary image. Files with more than ``max_pixels`` by their header are not
    decoded (``bomb``). JPEG files are decoded strictly: damage that a lenient decoder conceals is a
    reason. 16-bit files that do not declare how many bits they use are assumed to use
    ``bit_depth``; without it, dark ones are refused (``bit_depth``). Thread-safe. WebP and TIFF
    files beyond twice Pillow's ``MAX_IMAGE_PIXELS`` are bombs whatever the limit.
    """
    try:
        frame = _decode(data, max_pixels, bit_depth)
    except Unusable as verdict:
        return Decoded(None, verdict.reason, verdict.width, verdict.height)
    except (Image.DecompressionBombError, MemoryError):
        return Decoded(None, Reason.BOMB, 0, 0)
    except Exception as error:  # decoders raise anything on hostile bytes
        return Decoded(None, _verdict(error), 0, 0)
    width, height = _size(frame)
    return Decoded(frame, None, width, height)


def _size(frame: _Frame) -> tuple[int, int]:
    return (frame.shape[1], frame.shape[0]) if isinstance(frame, np.ndarray) else frame.size


def _verdict(error: Exception) -> Reason:
    """Return the reason for a decoder's error, by its type and message."""
    message = str(error).lower()
    if isinstance(error, EOFError) or "truncated" in message:
        return Reason.TRUNCATED
    return Reason.UNSUPPORTED if _UNREADABLE.search(message) else Reason.CORRUPT


def _decode(data: bytes, max_pixels: int, bit_depth: int | None) -> _Frame:
    if not data:
        raise Unusable(Reason.EMPTY)
    kind = sniff(data)
    if kind is None:
        raise Unusable(Reason.NOT_AN_IMAGE)
    if kind == "other":
        raise Unusable(Reason.UNSUPPORTED)
    if kind == "jpeg":
        return _jpeg(data, max_pixels)
    if kind == "webp" and (size := webp_size(data)):
        _check_size(*size, max_pixels)
    if kind == "jxl":
        width, height, animated = jxl_header(data)
        _check_size(width, height, max_pixels)
        if animated:
            raise Unusable(Reason.ANIMATED, width, height)
    return _with_pillow(data, kind, max_pixels, bit_depth)


def _jpeg(data: bytes, max_pixels: int) -> _Frame:
    """Decode strictly with libjpeg-turbo; leave to Pillow what that does not support."""
    ended = data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda") > 0
    broken = Reason.CORRUPT if ended else Reason.TRUNCATED
    if data.count(b"\xff\xda") > _MOST_SCANS:
        raise Unusable(Reason.BOMB)
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError):  # damaged, or a rare subsampling
        return _rare_jpeg(data, max_pixels, broken)
    _check_size(width, height, max_pixels)
    four = colours in ("CMYK", "YCCK")
    try:
        pixels, sound = _strictly(data, "CMYK" if four else "RGB")
    except ValueError as error:
        if "unsupported" in str(error).lower():
            return _rare_jpeg(data, max_pixels, Reason.UNSUPPORTED)
        raise Unusable(broken, width, height) from error
    exif = jpeg_exif(data)
    if four:  # Pillow knows which writers invert the inks
        return _upright(_with_pillow(sound, "jpeg", max_pixels, None), exif)
    return pixels if orientation(exif) == 1 else _upright(Image.fromarray(pixels), exif)


def _strictly(data: bytes, colours: str) -> tuple[np.ndarray, bytes]:
    """Return the pixels and the file that gave them: ``data``, or its essential segments.

    Raises
    ------
    ValueError
        libjpeg warns even about the essential segments: the file is damaged.
    """
    try:
        return simplejpeg.decode_jpeg(data, colours, strict=True), data
    except ValueError as error:
        if "unsupported" in str(error).lower():
            raise
    data = essential_jpeg(data)
    return simplejpeg.decode_jpeg(data, colours, strict=True), data


def _rare_jpeg(data: bytes, max_pixels: int, otherwise: Reason) -> Image.Image:
    try:
        return _upright(_with_pillow(data, "jpeg", max_pixels, None), jpeg_exif(data))
    except Unusable as verdict:
        reason = otherwise if verdict.reason is Reason.CORRUPT else verdict.reason
        raise Unusable(reason, verdict.width, verdict.height) from verdict
    except Exception as error:  # decoders raise anything on hostile bytes
        raise Unusable(otherwise) from error


def _with_pillow(data: bytes, kind: str, max_pixels: int, bit_depth: int | None) -> Image.Image:
    significant = significant_bits(data) if kind == "png" else None
    if kind == "png":
        data = essential_png(data)
    with _opened(data, kind) as image:
        _check_size(*image.size, max_pixels)
        if kind in ("gif", "webp", "avif") and image.is_animated:  # type: ignore[attr-defined]
            raise Unusable(Reason.ANIMATED, *image.size)
        stated = 8 if kind == "jpeg" else stated_bits(data, kind, image)
        bits, inverted = stated or bit_depth, white_is_zero(kind, image)
        image.load()
        # Decoders rotate TIFF and HEIC images themselves, and this module JPEG images.
        turned = kind in ("tiff", "heif", "jpeg")
        exif = b"" if turned else image.info.get("exif") or b""
        shown: Image.Image = image
        if image.mode.startswith("I;16"):
            bits = used_bits(np.asarray(image).astype(np.uint16), significant) or bits
        elif image.mode not in "IF" and stated != 8:
            shown = eight_bit_colours(image, data, _PLUGINS[kind], bits, significant)
        unsigned = kind == "tiff" and is_unsigned(image)
        return _upright(to_rgb(shown, bits, inverted=inverted, unsigned=unsigned), exif)


def _opened(data: bytes, kind: str) -> ImageFile.ImageFile:
    try:
        return _PLUGINS[kind](io.BytesIO(data))
    except SyntaxError as error:
        missing = error.__cause__.args[0] if isinstance(error.__cause__, KeyError) else ""
        if kind == "tiff" and isinstance(missing, int) and missing not in _TIFF_TAGS:
            raise Unusable(Reason.UNSUPPORTED) from error
        raise


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width <= 0 or height <= 0:
        raise Unusable(Reason.CORRUPT)
    if width * height > max_pixels:
        raise Unusable(Reason.BOMB, width, height)


def _upright(image: Image.Image, exif: bytes) -> Image.Image:
    turn = _UPRIGHT.get(orientation(exif))
    return image if turn is None else image.transpose(turn)

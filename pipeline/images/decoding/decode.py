"""From bytes to an upright RGB image, or to the reason why there is none."""

import contextlib
import ctypes
import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import simplejpeg
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

from pipeline.images.decoding.formats import (
    essential_png,
    jpeg_exif,
    orientation,
    sniff,
    webp_size,
)
from pipeline.images.decoding.pixels import to_rgb
from pipeline.images.reasons import Reason, Unusable

# What decoders think of a file's metadata is neither printed (it may hold terminal escapes) nor,
# with warnings turned into errors, a verdict. Set once: all threads share these switches.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())
with contextlib.suppress(AttributeError, OSError):  # a Pillow whose libtiff cannot be reached
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)

_Plugin = Callable[[io.BytesIO], ImageFile.ImageFile]

# Opened directly rather than by Image.open: that tries every format (PostScript included) and
# judges sizes by a global of its own.
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

_MOST_SCANS = 500  # a progressive JPEG of a few kB can ask for days of decoding


@dataclass(frozen=True)
class Decoded:
    """An upright RGB image or a reason, never both; width and height in pixels, 0 if unknown."""

    image: Image.Image | None
    reason: Reason | None
    width: int
    height: int


def decode(data: bytes, max_pixels: int) -> Decoded:
    """Decode a JPEG, PNG, GIF, WebP, TIFF, BMP, PNM, JPEG 2000 or AVIF file. Never raises.

    EXIF orientation is applied, profiles are not; of several pages (TIFF, MPO) the first counts.
    Files with more than ``max_pixels`` by their header are not decoded (``bomb``). JPEG files are
    decoded strictly: damage that a lenient decoder conceals is a reason. Safe for many threads.
    WebP and TIFF files beyond twice Pillow's ``MAX_IMAGE_PIXELS`` are bombs whatever the limit.
    """
    try:
        image = _decode(data, max_pixels)
    except Unusable as verdict:
        return Decoded(None, verdict.reason, verdict.width, verdict.height)
    except (Image.DecompressionBombError, MemoryError):
        return Decoded(None, Reason.BOMB, 0, 0)
    except Exception as error:  # decoders raise anything on hostile bytes
        early = isinstance(error, EOFError) or "truncated" in str(error).lower()
        return Decoded(None, Reason.TRUNCATED if early else Reason.CORRUPT, 0, 0)
    return Decoded(image, None, *image.size)


def _decode(data: bytes, max_pixels: int) -> Image.Image:
    if not data:
        raise Unusable(Reason.EMPTY)
    kind = sniff(data)
    if kind is None:
        raise Unusable(Reason.NOT_AN_IMAGE)
    if kind == "other":
        raise Unusable(Reason.UNSUPPORTED)
    if kind == "jpeg":
        return _jpeg(data, max_pixels)
    if kind == "png":
        data = essential_png(data)
    if kind == "webp" and (size := webp_size(data)):
        _check_size(*size, max_pixels)
    return _with_pillow(data, kind, max_pixels)


def _jpeg(data: bytes, max_pixels: int) -> Image.Image:
    """Decode strictly with libjpeg-turbo; leave to Pillow what that has no words for."""
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
        pixels = simplejpeg.decode_jpeg(data, "CMYK" if four else "RGB", strict=True)
    except ValueError as error:
        if "unsupported" in str(error).lower():
            return _rare_jpeg(data, max_pixels, Reason.UNSUPPORTED)
        raise Unusable(broken, width, height) from error
    if four:  # sound; Pillow knows whose inks are inverted
        return _with_pillow(data, "jpeg", max_pixels)
    return _upright(Image.fromarray(pixels), jpeg_exif(data))


def _rare_jpeg(data: bytes, max_pixels: int, otherwise: Reason) -> Image.Image:
    try:
        return _with_pillow(data, "jpeg", max_pixels)
    except Unusable as verdict:
        reason = otherwise if verdict.reason is Reason.CORRUPT else verdict.reason
        raise Unusable(reason, verdict.width, verdict.height) from verdict
    except Exception as error:  # decoders raise anything on hostile bytes
        raise Unusable(otherwise) from error


def _with_pillow(data: bytes, kind: str, max_pixels: int) -> Image.Image:
    with _PLUGINS[kind](io.BytesIO(data)) as image:
        _check_size(*image.size, max_pixels)
        if kind in ("gif", "webp", "avif") and image.is_animated:  # type: ignore[attr-defined]
            raise Unusable(Reason.ANIMATED, *image.size)
        image.load()
        # Pillow turns TIFF images itself.
        exif = b"" if kind == "tiff" else image.info.get("exif", b"")
        return _upright(to_rgb(image), exif)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width <= 0 or height <= 0:
        raise Unusable(Reason.CORRUPT)
    if width * height > max_pixels:
        raise Unusable(Reason.BOMB, width, height)


def _upright(image: Image.Image, exif: bytes) -> Image.Image:
    turn = _UPRIGHT.get(orientation(exif))
    return image if turn is None else image.transpose(turn)

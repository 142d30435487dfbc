"""8-bit RGB from whatever a decoder yields."""

import numpy as np
from PIL import Image

from pipeline.images.decoding.depth import eight_bits
from pipeline.images.reasons import Reason, Unusable

Float = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}


def to_rgb(
    image: Image.Image, bits: int | None = None, *, inverted: bool = False, unsigned: bool = False
) -> Image.Image:
    """Return an image as 8-bit RGB.

    * 8-bit modes: what ``convert("RGB")`` of Pillow gives, hence what models are trained on: alpha
      and transparent colours are dropped, not composited; profiles are not applied.
    * 16-bit grey: the upper 8 of the ``bits`` that samples use (never clipped at 255), all 16 if
      None; as Pillow does for 16-bit RGB.
    * 32-bit integers: as 16-bit where all values fit in 16 bits, else minimum..maximum → 0..255.
    * floats: [0, 1] is the full scale if all values lie in it, else [0, 255] if all lie in that,
      else minimum..maximum.

    ``inverted`` integers and floats are white at zero; ``unsigned`` 32-bit integers have no sign.

    Raises
    ------
    Unusable
        ``unsupported``: values that are not finite, or a colour space without a conversion (Lab);
        ``bit_depth``: see :func:`pipeline.images.decoding.depth.eight_bits`.
    """
    if image.mode == "RGB":
        return image.copy()  # a plain image instead of one that belongs to an open file
    if image.mode.startswith("I;16"):
        return _grey(eight_bits(np.asarray(image).astype(np.uint16), bits), inverted)
    if image.mode == "I":
        values = np.asarray(image)
        values = values.view(np.uint32) if unsigned else values  # Pillow has no such mode
        if values.min() >= 0 and values.max() <= 0xFFFF:
            return _grey(eight_bits(values.astype(np.uint16), bits), inverted)
        return _grey(_stretched(values.astype(np.float64)), inverted)
    if image.mode == "F":
        return _grey(_scaled(np.asarray(image, np.float64)), inverted)
    if image.mode == "LAB":
        raise Unusable(Reason.UNSUPPORTED, *image.size)
    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    image.info.pop("transparency", None)  # else Pillow looks for a colour to keep, and warns
    return image.convert("RGB")


def _grey(values: np.ndarray, inverted: bool) -> Image.Image:
    grey = values.astype(np.uint8)
    return Image.fromarray(255 - grey if inverted else grey).convert("RGB")


def _scaled(values: Float) -> Float:
    if not np.isfinite(values).all():
        raise Unusable(Reason.UNSUPPORTED, values.shape[1], values.shape[0])
    low, high = values.min(), values.max()
    if low < 0 or high > 255:
        return _stretched(values)
    return np.asarray(np.rint(values * 255 if high <= 1 else values))


def _stretched(values: Float) -> Float:
    low, high = values.min(), values.max()
    if low == high:
        return np.zeros_like(values)
    return np.asarray(np.rint((values - low) / (high - low) * 255))

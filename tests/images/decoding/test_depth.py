"""Deep images are as bright as they are, or refused with the option that says how bright."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.images.decoding.decode import decode
from pipeline.images.decoding.depth import eight_bits, used_bits
from pipeline.images.reasons import Unusable
from tests.images.gallery import encode, picture, png, png_chunk
from tests.images.tiffs import tiff

LIMIT = 1_000_000
RGB = np.asarray(picture()).astype(np.uint16)
GREY = RGB[..., :1]
CLEAR = np.full_like(GREY, 0xFFFF)
FACTORS = {8: 1, 10: 4, 12: 16, 14: 64, 16: 257}


def deep_png(values: np.ndarray, said: int | None = None) -> bytes:
    """Return a 16-bit PNG file of values (H, W, C), perhaps with an sBIT chunk."""
    height, width, bands = values.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    data = png(width, height, rows, depth=16, colour=colour)
    return (
        data if said is None else data[:33] + png_chunk(b"sBIT", bytes([said] * bands)) + data[33:]
    )


def deep_pnm(values: np.ndarray, most: int = 65_535) -> bytes:
    """Return a binary PGM or PPM file of 16 bits."""
    height, width, bands = values.shape
    return (
        b"P%d %d %d %d\n" % (5 if bands == 1 else 6, width, height, most)
        + values.astype(">u2").tobytes()
    )


WRITERS = {
    "grey png": lambda f: deep_png(GREY * f),
    "grey png with alpha": lambda f: deep_png(np.dstack([GREY * f, CLEAR])),
    "png": lambda f: deep_png(RGB * f),
    "png with alpha": lambda f: deep_png(np.dstack([RGB * f, CLEAR])),
    "pgm": lambda f: deep_pnm(GREY * f),
    "ppm": lambda f: deep_pnm(RGB * f),
    "grey tiff": lambda f: tiff(GREY * f),
    "tiff": lambda f: tiff(RGB * f, 2),
    "tiff, big end first": lambda f: tiff((RGB * f).astype(">u2"), 2),
    "tiff with alpha": lambda f: tiff(np.dstack([RGB * f, CLEAR]), 2, extra=(2,)),
    "packed tiff": lambda f: encode(
        Image.fromarray((GREY * f)[..., 0]), "TIFF", compression="tiff_adobe_deflate"
    ),
    "wavelets": lambda f: encode(Image.fromarray((GREY * f)[..., 0]), "JPEG2000"),
}


@pytest.mark.parametrize("bits", FACTORS)
@pytest.mark.parametrize("name", WRITERS)
def test_a_deep_image_is_refused_or_as_bright_as_it_is(name: str, bits: int) -> None:
    data = WRITERS[name](FACTORS[bits])
    result = decode(data, LIMIT, bits)
    assert result.reason is None
    shown = np.asarray(result.image)
    wanted = RGB if shown[..., 0].tolist() != shown[..., 1].tolist() else GREY
    assert np.abs(shown - wanted.astype(int)).max() <= (1 if name == "ppm" else 0)
    without = decode(data, LIMIT)
    if bits == 16:
        assert np.array_equal(without.image, shown)
    else:
        assert (without.image, without.reason) == (None, "bit_depth")
        assert (without.width, without.height) == picture().size


def test_samples_beyond_the_option_are_refused() -> None:
    for name, writer in WRITERS.items():
        assert decode(writer(FACTORS[16]), LIMIT, 12).reason == "bit_depth", name


def test_black_is_black_at_every_depth() -> None:
    for name, writer in WRITERS.items():
        image = decode(writer(0), LIMIT).image
        assert image is not None, name
        assert not np.asarray(image).any()


def test_files_that_say_their_depth_need_no_option() -> None:
    """Maxima of PNM are scaled by Pillow; a maximum of TIFF counts where it is that of a depth."""
    dark = GREY // 20
    for data in (deep_pnm(GREY * 16, 4095), tiff(GREY * 16, tags=((281, 4095),))):
        assert np.array_equal(np.asarray(decode(data, LIMIT).image)[..., :1], GREY)
    assert decode(tiff(dark * 257, tags=((281, 65_535),)), LIMIT).reason is None
    assert decode(tiff(GREY * 16, tags=((281, 4000),)), LIMIT).reason == "bit_depth"
    assert decode(deep_pnm(dark * 16, 4095), LIMIT).reason is None


def test_twelve_packed_bits_are_twelve() -> None:
    """Two samples in three bytes."""
    pairs = (GREY[..., 0].astype(np.uint32) * 16).reshape(32, 24, 2)
    both = pairs[..., 0] << 12 | pairs[..., 1]
    packed = np.stack([both >> 16, both >> 8 & 0xFF, both & 0xFF], -1).astype(np.uint8)
    data = bytearray(tiff(packed.reshape(32, 72, 1)))
    for tag, value in ((256, 48), (258, 12)):
        place = data.index(struct.pack("<HH", tag, 4 if tag == 256 else 3)) + 8
        data[place : place + 2] = struct.pack("<H", value)
    assert np.array_equal(np.asarray(decode(bytes(data), LIMIT).image)[..., :1], GREY)


def test_significant_bits_of_png_are_those_that_are_there() -> None:
    """Lower bits by many writers, upper ones by the standard; None where both are possible."""
    lower, upper = deep_png(GREY * 16 + 5, said=12), deep_png(GREY * 257 & 0xFFF0, said=12)
    assert np.array_equal(np.asarray(decode(lower, LIMIT).image)[..., :1], GREY)
    assert np.array_equal(np.asarray(decode(upper, LIMIT).image)[..., :1], GREY)
    colours = deep_png(RGB * 16 + 5, said=12)
    assert np.array_equal(np.asarray(decode(colours, LIMIT).image), RGB)
    assert decode(deep_png(GREY * 16, said=12), LIMIT).reason == "bit_depth"
    assert decode(deep_png(GREY // 20 * 257, said=16), LIMIT).reason is None


def test_white_at_zero_is_turned() -> None:
    for values in (GREY.astype(np.uint8), GREY * 257):
        full = 255 if values.dtype == np.uint8 else 65_535
        data = tiff(np.asarray(full - values, values.dtype), photometric=0)
        assert np.array_equal(np.asarray(decode(data, LIMIT).image)[..., :1], GREY)


def test_long_unsigned_samples_have_no_sign() -> None:
    low, high = int(GREY.min()), int(GREY.max())
    stretched = np.rint((GREY.astype(float) - low) / (high - low) * 255)
    for dtype in (np.uint32, np.int32):
        factor = 2 ** (24 if dtype == np.uint32 else 23)
        image = decode(tiff(GREY.astype(dtype) * dtype(factor)), LIMIT).image
        assert np.abs(np.asarray(image, int)[..., :1] - stretched).max() <= 1


@given(st.integers(8, 16), st.lists(st.integers(0, 65_535), min_size=1, max_size=9))
def test_eight_bits_never_wrap(bits: int, samples: list[int]) -> None:
    values = np.array([samples], np.uint16)
    try:
        shown = eight_bits(values, bits)
    except Unusable:
        assert max(samples) >= 1 << bits
    else:
        assert shown.tolist() == [[sample >> (bits - 8) for sample in samples]]
    assert used_bits(values, bits) in (None, bits, 16)


UNSHOWN = {
    "13 bands of 16 bits": tiff(np.dstack([RGB] * 4 + [GREY]), extra=(0,) * 12),
    "5 bands": tiff(np.dstack([RGB, RGB[..., :2]]).astype(np.uint8), extra=(0,) * 4),
    "RGB of floats": tiff((RGB / 255).astype(np.float32), 2),
    "grey of long floats": tiff(GREY / 255),
    "grey of half floats": tiff((GREY / 255).astype(np.float16)),
    "inks with alpha": tiff(np.dstack([RGB, GREY, GREY]).astype(np.uint8), 5, extra=(2,)),
    "32-bit RGB": tiff(RGB.astype(np.uint32), 2),
    "signed bytes": tiff((GREY - 100).astype(np.int8)),
    "wavelets in TIFF": tiff(RGB.astype(np.uint8), 2, compression=34_712),
    "an unknown compression": tiff(RGB.astype(np.uint8), 2, compression=12_345),
}


@pytest.mark.parametrize("name", UNSHOWN)
def test_sound_files_that_cannot_be_shown_are_not_called_damaged(name: str) -> None:
    result = decode(UNSHOWN[name], LIMIT)
    assert (result.image, result.reason) == (None, "unsupported")

"""HEIC and JPEG XL are read where their decoders are installed, and named where they are not."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.images.decoding.decode import decode
from pipeline.images.decoding.extras import jxl_header
from pipeline.images.decoding.formats import sniff
from pipeline.images.reasons import explain
from tests.images.gallery import encode, picture

pillow_heif = pytest.importorskip("pillow_heif")
pytest.importorskip("pillow_jxl")
pillow_heif.register_heif_opener()

LIMIT = 1_000_000
FILES = {
    "heif": encode(picture(), "HEIF", quality=-1, chroma=444, matrix_coefficients=0),
    "jxl": encode(picture(), "JXL", lossless=True),
}


@pytest.mark.parametrize("kind", FILES)
def test_they_are_read(kind: str) -> None:
    assert sniff(FILES[kind]) == kind
    result = decode(FILES[kind], LIMIT)
    assert result.reason is None
    assert np.abs(np.asarray(result.image, int) - np.asarray(picture())).max() <= 1
    assert (result.width, result.height) == picture().size


@pytest.mark.parametrize("kind", FILES)
def test_without_their_decoders_the_reason_names_the_extra(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("pillow_heif", "pillow_jxl"):
        monkeypatch.setitem(sys.modules, module, None)
    result = decode(FILES[kind], LIMIT)
    assert result.reason == "unsupported"
    assert f"flowatlas[{kind}]" in explain(result.reason)


@pytest.mark.parametrize("kind", FILES)
def test_bombs_and_cut_files_are_seen(kind: str) -> None:
    result = decode(FILES[kind], 48 * 32 - 1)
    assert (result.reason, result.width, result.height) == ("bomb", 48, 32)
    for length in (20, len(FILES[kind]) // 2):
        assert decode(FILES[kind][:length], LIMIT).reason in ("truncated", "corrupt")


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(sorted(FILES)), st.integers(0, 2000), st.integers(1, 255))
def test_any_flip_is_an_image_or_a_reason(kind: str, place: int, change: int) -> None:
    data = bytearray(FILES[kind])
    data[place % len(data)] ^= change
    result = decode(bytes(data), LIMIT)
    assert (result.image is None) != (result.reason is None)


def test_a_turned_image_is_turned_once() -> None:
    """HEIC says so beside its EXIF block; that of JPEG XL means nothing (ISO/IEC 18181-2)."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = picture()
    image.info["exif"] = exif.tobytes()
    turned = decode(encode(image, "HEIF", quality=-1), LIMIT)
    assert (turned.width, turned.height) == (32, 48)
    upright = decode(encode(picture(), "JXL", lossless=True, exif=exif.tobytes()), LIMIT)
    assert (upright.width, upright.height) == (48, 32)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 600), st.integers(1, 600))
def test_the_size_of_jpeg_xl_is_known_before_it_is_decoded(width: int, height: int) -> None:
    data = encode(Image.new("L", (width, height)), "JXL", lossless=True, effort=1)
    assert jxl_header(data) == (width, height, False)


def test_deep_jpeg_xl_is_as_bright_as_it_is() -> None:
    grey = np.asarray(picture().convert("L")).astype(np.uint16)
    for factor, reason in ((257, None), (16, "bit_depth")):
        data = encode(Image.fromarray(grey * factor), "JXL", lossless=True)
        assert decode(data, LIMIT).reason == reason
    assert np.array_equal(np.asarray(decode(data, LIMIT, 12).image)[..., 0], grey)

"""What libjpeg only warns of is no damage, and what is damaged stays so."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.images.decoding.decode import decode
from pipeline.images.decoding.formats import orientation
from pipeline.images.decoding.jpeg_segments import essential_jpeg, jpeg_exif
from tests.images.gallery import encode, picture

LIMIT = 1_000_000
PLAIN = encode(picture(96, 64), "JPEG", quality=92)
PROGRESSIVE = encode(picture(96, 64), "JPEG", progressive=True)
CMYK = encode(picture(96, 64).convert("CMYK"), "JPEG")


def before(data: bytes, marker: bytes, content: bytes) -> bytes:
    """Put bytes before the last of a marker."""
    place = data.rindex(marker)
    return data[:place] + content + data[place:]


def patched(data: bytes, place: int, value: int) -> bytes:
    """Change a byte."""
    return data[:place] + bytes([value]) + data[place + 1 :]


HARMLESS: dict[str, Callable[[], bytes]] = {
    "an unknown version of JFIF": lambda: patched(PLAIN, 11, 5),
    "an unknown transform of Adobe": lambda: patched(CMYK, CMYK.index(b"Adobe") + 11, 7),
    "zeros between segments": lambda: before(PLAIN, b"\xff\xda", bytes(9)),
    "text between segments": lambda: before(PLAIN, b"\xff\xda", b"written by hand"),
    "zeros behind the scan": lambda: before(PLAIN, b"\xff\xd9", bytes(500)),
    "zeros between scans": lambda: before(PROGRESSIVE, b"\xff\xda", bytes(20)),
    "a profile in pieces": lambda: before(
        PLAIN, b"\xff\xda", b"\xff\xe2\x00\x10ICC_PROFILE\0\x05\x02"
    ),
    "parameters of a sequential scan": lambda: patched(
        PLAIN,
        PLAIN.index(b"\xff\xda")
        + int.from_bytes(PLAIN[PLAIN.index(b"\xff\xda") + 2 : PLAIN.index(b"\xff\xda") + 4]),
        10,
    ),
}


@pytest.mark.parametrize("what", HARMLESS)
def test_a_harmless_warning_is_no_damage(what: str) -> None:
    data = HARMLESS[what]()
    result = decode(data, LIMIT)
    assert result.reason is None
    assert np.array_equal(result.image, Image.open(io.BytesIO(data)).convert("RGB"))


def test_damage_beside_a_harmless_warning_stays_damage() -> None:
    data = HARMLESS["an unknown version of JFIF"]()
    place = (data.index(b"\xff\xda") + len(data)) // 2
    scarred = data[:place] + bytes(range(64)) + data[place + 64 :]
    assert decode(scarred, LIMIT).reason == "corrupt"
    assert decode(data[:-60] + bytes(58) + data[-2:], LIMIT).reason == "corrupt"
    assert decode(data[:-60], LIMIT).reason == "truncated"


def test_an_image_stays_upright_behind_other_bytes() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for mode in ("RGB", "CMYK"):
        data = encode(picture(96, 64).convert(mode), "JPEG", exif=exif)
        first = data.index(b"\xff\xe1")
        result = (
            decode(data[:first] + b"abc" + data[first:], LIMIT)
            if first > 2
            else decode(before(data, b"\xff\xda", b"abc"), LIMIT)
        )
        assert (result.reason, result.width, result.height) == (None, 64, 96)


def test_exif_is_found_among_the_segments_of_a_jpeg() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(picture(), "JPEG", exif=exif, comment=b"c" * 300, icc_profile=bytes(70_000))
    assert orientation(jpeg_exif(data)) == 6
    assert jpeg_exif(encode(picture(), "JPEG")) == b""


@given(st.binary(max_size=64))
def test_any_bytes_have_exif_or_not(tail: bytes) -> None:
    assert isinstance(jpeg_exif(b"\xff\xd8\xff" + tail), bytes)
    assert isinstance(essential_jpeg(b"\xff\xd8\xff" + tail), bytes)

"""What a file says of itself before a decoder may touch it."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.images.decoding.formats import (
    essential_png,
    orientation,
    sniff,
    webp_size,
)
from pipeline.images.reasons import Reason, Unusable
from tests.images.gallery import encode, kinds, picture, png_chunk


@pytest.mark.parametrize("name", sorted(kinds()))
def test_formats_are_recognised_by_their_content(name: str) -> None:
    by_suffix = {"jpg": "jpeg", "jp2": "jpeg2000"}
    suffix = name.split(".")[-1]
    assert sniff(kinds()[name]) == by_suffix.get(suffix, suffix)


@pytest.mark.parametrize(
    "head",
    [
        b"<svg width='9'/>",
        b"\xef\xbb\xbf <?xml version='1.0'?>\n<!-- c -->\n<svg/>",
        b"%PDF-1.4",
        b"%!PS-Adobe",
        b"\0\0\0\x1cftypisom",
        b"8BPS\0\1",
        b"qoif\0\0",
    ],
)
def test_images_that_are_not_read_are_known(head: bytes) -> None:
    assert sniff(head) == "other"


@pytest.mark.parametrize(
    "text", [b"BMW and other cars are quick", b"<html><svg>", b"RIFF1234WAVE", b"P5", b"\xff\xd8"]
)
def test_words_are_no_images(text: bytes) -> None:
    assert sniff(text) is None


def test_text_and_profiles_of_a_png_are_not_passed_on() -> None:
    whole = encode(picture(), "PNG")
    bomb = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10_000_000)))
    profile = png_chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(10_000_000)))
    laden = whole[:33] + bomb + profile + whole[33:] + b"trailing"
    assert essential_png(laden) == whole


@given(st.integers(8, 10_000), st.integers(0, 7))
def test_every_bit_of_a_png_is_guarded(position: int, bit: int) -> None:
    whole = bytearray(encode(picture(), "PNG"))
    whole[8 + position % (len(whole) - 8)] ^= 1 << bit
    # A chunk that nobody needs may change; here a flip can only make one out of a needed chunk.
    with pytest.raises(Unusable, match=r"truncated|corrupt"):
        _decoded_png(bytes(whole))


def test_a_chunk_that_is_needed_and_unknown_is_no_damage() -> None:
    """Apple's CgBI files are intact, but may not be shown without that chunk."""
    whole = encode(picture(), "PNG")
    apple = whole[:8] + png_chunk(b"CgBI", b"P\0 \2") + whole[8:]
    with pytest.raises(Unusable, match="unsupported"):
        essential_png(apple)
    with pytest.raises(Unusable, match="corrupt"):
        essential_png(apple.replace(b"CgBI", b"CgBJ"))


def _decoded_png(data: bytes) -> None:
    essential = essential_png(data)
    if essential.count(b"IDAT") == 0 or b"IHDR" not in essential:
        raise Unusable(Reason.CORRUPT)


@pytest.mark.parametrize(
    ("options", "size"),
    [({}, (48, 32)), ({"lossless": True}, (48, 32)), ({"exif": b"Exif\0\0II*\0"}, (48, 32))],
)
def test_webp_canvases(options: dict[str, object], size: tuple[int, int]) -> None:
    assert webp_size(encode(picture(*size), "WEBP", **options)) == size


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(10))
def test_orientation_in_either_byte_order(order: str, value: int) -> None:
    head = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(order + "HHII", 0x010F, 2, 4, 0)
    entries += struct.pack(order + "HHIHH", 0x0112, 3, 1, value, 0)
    block = head + struct.pack(order + "IH", 8, 2) + entries
    assert orientation(block) == orientation(b"Exif\0\0" + block) == (value if 0 < value < 9 else 1)


@given(st.binary(max_size=64), st.sampled_from([b"", b"Exif\0\0II*\0", b"MM\0*\0\0\0\x08"]))
def test_any_exif_has_an_orientation(tail: bytes, head: bytes) -> None:
    assert 1 <= orientation(head + tail) <= 8


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "heif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "heif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "avif"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1miaf", "avif"),
        (b"\xff\x0a\x00", "jxl"),
        (b"\0\0\0\x0cJXL \r\n\x87\n\0\0", "jxl"),
    ],
)
def test_containers_are_recognised_by_their_brands(head: bytes, kind: str) -> None:
    assert sniff(head) == kind

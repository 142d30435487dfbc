import io

import numpy as np
import pytest
from PIL import Image

from pipeline.images.decoding.jpeg_quality import jpeg_quality

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))


def encoded(kind: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    IMAGE.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("quality", [2, 5, 9, 10, 24, 25, 49, 50, 51, 75, 90, 95, 99, 100])
def test_the_quality_a_file_was_written_with_is_read(quality):
    assert jpeg_quality(encoded(quality=quality)) == quality
    assert jpeg_quality(encoded(quality=quality, progressive=True)) == quality


def test_other_tables_get_the_quality_of_one_as_coarse():
    coarse = encoded(qtables=[[200] * 64, [200] * 64])
    fine = encoded(qtables=[[3] * 64, [3] * 64])
    assert jpeg_quality(coarse) < 15
    assert 90 < jpeg_quality(fine) < 100
    wide = bytearray(encoded(quality=50))
    start = wide.index(b"\xff\xdb")
    table = b"".join(bytes([0, value]) for value in wide[start + 5 : start + 69])
    wide[start : start + 69] = b"\xff\xdb\x00\x83\x10" + table
    assert jpeg_quality(bytes(wide)) == 50


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xdb\x00\x03\x00", b"no image"])
def test_what_is_no_jpeg_has_no_quality(data):
    assert jpeg_quality(data) is None


def test_other_formats_have_no_quality():
    assert jpeg_quality(encoded("PNG")) is None
    assert jpeg_quality(encoded()[:20]) is None

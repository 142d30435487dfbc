"""Decoding gives an upright RGB image or a reason, whatever the bytes."""

import io
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pipeline.images.decoding.decode import Decoded, decode
from pipeline.images.fetch import Fetcher
from pipeline.images.reasons import Reason
from tests.images.broken import broken, write_broken
from tests.images.gallery import encode, kinds, picture, png

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # as the module does itself

LIMIT = 1_000_000
GOOD = kinds()


def _is_one_of_both(result: Decoded) -> bool:
    if result.image is None:
        return isinstance(result.reason, Reason) and result.width >= 0 and result.height >= 0
    return (
        result.reason is None
        and result.image.mode == "RGB"
        and result.image.size == (result.width, result.height)
        and type(result.image) is Image.Image
    )


@pytest.mark.parametrize("name", sorted(GOOD))
def test_good_images_are_what_pillow_makes_of_them(name: str) -> None:
    result = decode(GOOD[name], LIMIT)
    assert _is_one_of_both(result)
    assert result.image is not None
    expected = Image.open(io.BytesIO(GOOD[name]))
    if name != "grey16.png":  # Pillow turns it white
        assert np.array_equal(result.image, expected.convert("RGB"))
    assert (result.width, result.height) == (48, 32)


@pytest.mark.parametrize("name", sorted(broken()))
def test_broken_images_get_their_reason(name: str) -> None:
    content, reason = broken()[name]
    result = decode(content, 100_000_000)
    assert (result.image, result.reason) == (None, reason)


def test_there_are_many_ways_to_be_broken(tmp_path: Path) -> None:
    reasons = write_broken(tmp_path)
    assert len(reasons) >= 12
    of_the_run = {"crashed", "non_finite", "no_label", "no_reference", "unreachable"}
    assert set(reasons.values()) == set(Reason) - of_the_run
    assert {path.name for path in tmp_path.iterdir()} == set(reasons)
    with pytest.raises(FileNotFoundError):
        Fetcher(str(tmp_path)).fetch("dangling.jpg")


def test_strictness_sees_what_pillow_conceals() -> None:
    content, _ = broken()["middle.jpg"]
    Image.open(io.BytesIO(content)).load()  # no error
    assert decode(content, LIMIT).reason == "corrupt"


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied(kind: str, value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(picture(), kind, exif=exif, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    result = decode(data, LIMIT)
    assert np.array_equal(result.image, upright)
    assert (result.width, result.height) == ((48, 32) if value < 5 else (32, 48))


def test_orientation_of_a_known_corner() -> None:
    """The stored image's top left becomes the upright one's top right (value 6)."""
    stored = Image.new("RGB", (48, 32), "white")
    stored.paste("black", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    image = decode(encode(stored, "PNG", exif=exif), LIMIT).image
    assert image is not None
    assert image.size == (32, 48)
    assert image.getpixel((31, 0)) == (0, 0, 0)
    assert image.getpixel((0, 0)) == image.getpixel((31, 47)) == (255, 255, 255)


def test_sixteen_bit_files_are_scaled() -> None:
    ramp = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    grey = ramp >> 8
    for kind in ("PNG", "TIFF", "PPM"):
        result = decode(encode(Image.fromarray(ramp), kind), LIMIT)
        assert np.array_equal(np.asarray(result.image)[..., 0], grey), kind
    rows = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in ramp)
    result = decode(png(16, 16, rows, depth=16), LIMIT)
    assert np.array_equal(np.asarray(result.image)[..., 1], grey)


def test_float_tiff_is_scaled() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    result = decode(encode(Image.fromarray(ramp), "TIFF"), LIMIT)
    assert np.array_equal(np.asarray(result.image)[..., 2].ravel(), np.arange(256))


def test_inks_of_adobe_are_inverted_and_others_not() -> None:
    cmyk = Image.new("CMYK", (32, 32), (255, 0, 0, 0))  # cyan
    adobe = encode(cmyk, "JPEG", quality=100)
    assert b"Adobe" in adobe
    start = adobe.index(b"\xff\xee")
    length = int.from_bytes(adobe[start + 2 : start + 4])
    plain = adobe[:start] + adobe[start + 2 + length :]
    for data, colour in ((adobe, (0, 255, 255)), (plain, (255, 0, 0))):
        image = decode(data, LIMIT).image
        assert image is not None
        assert np.abs(np.asarray(image, int) - colour).max() <= (2 if data is adobe else 255)
        assert np.array_equal(image, Image.open(io.BytesIO(data)).convert("RGB"))


def test_damage_in_cmyk_is_seen() -> None:
    data = bytearray(encode(picture(96, 64).convert("CMYK"), "JPEG", quality=92))
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(range(64))
    assert decode(bytes(data), LIMIT).reason == "corrupt"
    assert decode(bytes(data[:-200]), LIMIT).reason == "truncated"


def test_of_several_pictures_the_first_counts() -> None:
    for kind in ("MPO", "TIFF"):
        data = encode(picture(), kind, save_all=True, append_images=[picture(seed=1)])
        assert np.array_equal(decode(data, LIMIT).image, Image.open(io.BytesIO(data))), kind


@pytest.mark.parametrize("name", sorted(GOOD))
def test_the_limit_counts_pixels(name: str) -> None:
    assert decode(GOOD[name], 48 * 32).reason is None
    result = decode(GOOD[name], 48 * 32 - 1)
    assert (result.reason, result.width, result.height) == ("bomb", 48, 32)


def test_the_limit_may_lie_above_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name, data in GOOD.items():
        if not name.endswith((".webp", ".tiff")):  # Pillow asks its own limit inside these two
            assert decode(data, LIMIT).reason is None, name


def test_a_jpeg_of_endless_scans_is_a_bomb() -> None:
    data = encode(picture(), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2]
    assert decode(data[:start] + scan * 600 + data[-2:], LIMIT).reason == "bomb"


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    assert _is_one_of_both(decode(data, LIMIT))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.floats(0, 1, exclude_max=True))
def test_any_truncation(name: str, share: float) -> None:
    data = GOOD[name][: int(share * len(GOOD[name]))]
    result = decode(data, LIMIT)
    assert _is_one_of_both(result)
    if name.endswith((".jpg", ".png")):
        assert result.image is None


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(sorted(GOOD)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=4),
    st.booleans(),
)
def test_any_flips(name: str, flips: list[tuple[float, int]], early: bool) -> None:
    data = bytearray(GOOD[name])
    reach = min(len(data), 160) if early else len(data)
    for place, change in flips:
        data[int(place * reach)] ^= change
    result = decode(bytes(data), LIMIT)
    assert _is_one_of_both(result)
    if name == "rgb.png" and bytes(data) != GOOD[name]:
        same = result.image is None or np.array_equal(result.image, decode(GOOD[name], LIMIT).image)
        assert same


def test_threads_change_nothing() -> None:
    files = [*GOOD.values(), *(content for content, _ in broken().values())] * 4
    alone = [decode(data, LIMIT) for data in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: decode(data, LIMIT), files))
    for one, other in zip(alone, together, strict=True):
        assert one.reason == other.reason
        assert one.image is None or np.array_equal(one.image, other.image)


@pytest.mark.filterwarnings("error")
def test_warnings_turned_into_errors_are_no_verdict() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        assert [decode(data, LIMIT).reason for data in GOOD.values()] == [None] * len(GOOD)


def test_nothing_is_printed() -> None:
    """Hostile files may not write to the terminal, not even from C (libtiff would)."""
    code = (
        "import random\n"
        "from pipeline.images.decoding.decode import decode\n"
        "from tests.images.broken import broken\n"
        "from tests.images.gallery import kinds\n"
        "files = [*kinds().values(), *(content for content, _ in broken().values())]\n"
        "luck = random.Random(0)\n"
        "for data in files:\n"
        "    decode(data, 10**6)\n"
        "    for _ in range(10 if data else 0):\n"
        "        copy = bytearray(data)\n"
        "        for _ in range(3):\n"
        "            copy[luck.randrange(len(copy))] = luck.randrange(256)\n"
        "        decode(bytes(copy), 10**6)\n"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.photographs
def test_photographs_are_bit_for_bit_what_pillow_makes_of_them(photographs: Path) -> None:
    files = sorted((photographs / "caltech101_29" / "images").glob("*/*.jpg"))[::40]
    assert len(files) > 20
    for file in files:
        result = decode(file.read_bytes(), 100_000_000)
        assert np.array_equal(result.image, Image.open(file).convert("RGB")), file

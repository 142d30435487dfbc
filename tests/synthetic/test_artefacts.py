import io

import numpy as np
import pytest
from PIL import Image

from pipeline.synthetic.artefacts import KINDS, QUALITY, Artefact, plain, stamp


@pytest.fixture(scope="module")
def image() -> Image.Image:
    """Smooth noise: something at every place and frequency."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    return Image.fromarray(noise).resize((96, 96), Image.Resampling.BICUBIC)


def pixels(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"), np.int32)


def where_changed(before: bytes, after: bytes) -> np.ndarray:
    return np.abs(pixels(before) - pixels(after)).max(2) > 14


@pytest.mark.parametrize("kind", KINDS)
def test_an_artefact_changes_what_it_says_and_is_the_same_again(kind, image):
    before = plain(image)
    stamped = stamp(image, Artefact(kind, seed=3), 5)
    assert stamped == stamp(image, Artefact(kind, seed=3), 5)
    changed = where_changed(before, stamped.file)
    assert changed.any()
    inside = np.zeros_like(changed)
    for x0, y0, x1, y1 in stamped.boxes:
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
        # Compression spreads a change over its block of 8 × 8 pixels.
        rows = slice(int(y0 * 96) // 8 * 8, -(-round(y1 * 96) // 8) * 8)
        inside[rows, int(x0 * 96) // 8 * 8 : -(-round(x1 * 96) // 8) * 8] = True
    assert bool(stamped.boxes) == (KINDS[kind].where in ("fixed", "varying", "edges"))
    if stamped.boxes:
        assert not changed[~inside].any()


@pytest.mark.parametrize("kind", KINDS)
def test_an_artefact_is_alike_in_all_images_but_for_its_place(kind, image):
    first, second = (stamp(image, Artefact(kind, seed=3), number) for number in (5, 6))
    assert (first.boxes != second.boxes) == (KINDS[kind].where == "varying")
    if kind != "grain" and KINDS[kind].where != "varying":
        assert first == second


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"grey"}))
def test_looks_differ_by_seed(kind, image):
    looks = {stamp(image, Artefact(kind, seed=seed), 0).file for seed in range(8)}
    assert len(looks) > 1


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"grain", "stripes"}))
def test_a_fainter_artefact_changes_less(kind, image):
    before = pixels(plain(image))
    full, half = (
        np.abs(pixels(stamp(image, Artefact(kind, 3, opacity), 0).file) - before).mean()
        for opacity in (1.0, 0.5)
    )
    assert half < full


def test_only_a_compression_shows_in_the_file(image):
    """Else the quantisation tables would give every artefact away."""

    def tables(file: bytes) -> dict[int, list[int]]:
        return Image.open(io.BytesIO(file)).quantization

    for kind in KINDS:
        alike = tables(stamp(image, Artefact(kind), 0).file) == tables(plain(image))
        assert alike == (kind != "compression")
    assert QUALITY == 95


def test_what_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="kinds are plate, sticker"):
        Artefact("logo")
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        Artefact("plate", opacity=0)

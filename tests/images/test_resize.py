"""Torch resizes as Pillow does, to a bound that is the same for photographs and for noise."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.images.resize import BY_TORCH, resized_by_pillow, resized_by_torch
from tests.images.gallery import picture

KINDS = {
    "smooth": lambda rng, h, w: np.array(picture(w, h, int(rng.integers(99)))),
    "noise": lambda rng, h, w: rng.integers(0, 256, (h, w, 3), dtype=np.uint8),
    "black and white": lambda rng, h, w: rng.choice(np.array([0, 255], np.uint8), (h, w, 3)),
}
MODES = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("interpolation", BY_TORCH)
def test_it_is_pillows_within_two_levels_and_nearly_everywhere_within_one(
    kind: str, interpolation: str
) -> None:
    rng = np.random.default_rng(0)
    values = differ = by_two = 0
    for _ in range(60):
        has, wanted = rng.integers(4, 160, 2), rng.integers(4, 160, 2)
        x0, y0 = (int(rng.integers(0, edge)) for edge in wanted[::-1])
        x1, y1 = int(rng.integers(x0, wanted[1])) + 1, int(rng.integers(y0, wanted[0])) + 1
        pixels = KINDS[kind](rng, *has)
        size, window = (int(wanted[0]), int(wanted[1])), (x0, y0, x1, y1)
        found = resized_by_torch(pixels, size, window, interpolation)
        mode = MODES[interpolation]
        expected = resized_by_pillow(Image.fromarray(pixels), size, window, mode)
        assert found.shape == expected.shape
        assert found.flags.c_contiguous
        difference = np.abs(found.astype(int) - expected)
        assert difference.max() <= (1 if interpolation == "bilinear" else 2)
        values += difference.size
        differ += int((difference > 0).sum())
        by_two += int((difference > 1).sum())
    assert differ <= 0.01 * values
    assert by_two <= 1e-4 * values


def test_an_axis_that_keeps_its_length_is_kept_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    found = resized_by_torch(pixels, (20, 15), (3, 5, 11, 18), "bicubic")
    alone = resized_by_torch(pixels[5:18].copy(), (13, 15), (3, 0, 11, 13), "bicubic")
    assert np.array_equal(found, alone)


def test_the_bytes_do_not_depend_on_the_processor() -> None:
    here = torch.backends.cpu.get_cpu_capability()
    other = "default" if here != "DEFAULT" else "avx2"
    found = subprocess.run(
        [sys.executable, "-c", "from tests.images.test_resize import digest; print(digest())"],
        env={**os.environ, "ATEN_CPU_CAPABILITY": other, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == digest()


def digest() -> str:
    """Return a hash of many images resized by torch."""
    rng, found = np.random.default_rng(0), hashlib.sha256()
    for _ in range(40):
        pixels = rng.integers(0, 256, (*rng.integers(4, 160, 2), 3), dtype=np.uint8)
        height, width = (int(edge) for edge in rng.integers(4, 160, 2))
        for interpolation in BY_TORCH:
            window = (0, 0, width, height)
            found.update(resized_by_torch(pixels, (height, width), window, interpolation).tobytes())
    return found.hexdigest()


@pytest.mark.photographs
def test_so_are_photographs() -> None:
    folder = Path(os.environ.get("FLOWATLAS_DATA", "")) / "caltech101_29" / "images"
    if not os.environ.get("FLOWATLAS_DATA") or not folder.is_dir():
        pytest.skip("needs photographs under $FLOWATLAS_DATA")
    values = by_two = 0
    for file in sorted(folder.rglob("*.jpg"))[::40]:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
        for edge in (96, 248, 400):
            size, window = (edge, edge), (10, 10, edge - 10, edge - 10)
            found = resized_by_torch(np.array(image), size, window, "bicubic")
            expected = resized_by_pillow(image, size, window, MODES["bicubic"])
            difference = np.abs(found.astype(int) - expected)
            assert difference.max() <= 2
            values, by_two = values + difference.size, by_two + int((difference > 1).sum())
    assert by_two <= 2e-5 * values

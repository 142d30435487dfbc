"""An image is read in one place, where whatever is wrong with it becomes a reason."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pipeline.images import ImageReader, InputTransform, Place
from tests.images.archives import parquet_of
from tests.images.broken import write_broken
from tests.images.gallery import encode, picture

TRANSFORM = InputTransform((16, 24), (0.5,) * 3, (0.5,) * 3, crop_mode="squash", crop_pct=1.0)


def test_a_good_image_is_the_models_input_and_its_stages_are_timed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(picture(), "PNG"))
    stages: Counter[str] = Counter()

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        stages[stage] += 1
        yield

    crop = ImageReader(str(tmp_path), TRANSFORM, 10**6).load(Place("a.png", None, None), timed)
    assert crop.reason is None
    assert (crop.width, crop.height) == (48, 32)
    assert crop.pixels is not None
    assert np.array_equal(crop.pixels, TRANSFORM(picture()))
    assert stages == {"fetch": 1, "decode": 1, "transform": 1}


def test_every_bad_image_is_a_reason(tmp_path: Path) -> None:
    expected = write_broken(tmp_path)
    reader = ImageReader(str(tmp_path), TRANSFORM, 10**8)
    found = {name: reader.load(Place(name, None, None)) for name in expected}
    assert {name: crop.reason for name, crop in found.items()} == expected
    assert not any(crop.pixels is not None for crop in found.values())


def test_so_is_what_cannot_be_fetched(tmp_path: Path) -> None:
    path = parquet_of(tmp_path / "a.parquet", [encode(picture(), "BMP")] * 4, [0] * 4, row_group=2)
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(content)
    reader = ImageReader(str(tmp_path), TRANSFORM, 10**6)
    places = [Place(f"a.parquet#{group}/{row}/image", 4, 9) for group in (0, 1) for row in (0, 1)]
    assert [reader.load(p).reason for p in places] == ["corrupt", "corrupt", None, None]
    assert reader.load(Place("a.parquet#7/0/image", 4, 9)).reason == "missing"

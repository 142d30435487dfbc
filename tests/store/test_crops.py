"""What the model saw is read again from where the run's index says, or there is a reason."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.images import Crop, ImageReader, Place
from pipeline.store import Run
from pipeline.store.crops import CropReader, image_reader
from tests.atlas.synthetic import synthetic_run


class Refusing(ImageReader):
    """Asks a store that does not answer."""

    def load(self, place: Place, timed: object = None) -> Crop:
        """Fail as a network does."""
        raise ConnectionResetError("no answer")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = synthetic_run(tmp_path / "run", images=8, classes=2, grid=(2, 3), layers=1)
    for uri in run.index()["uri"].to_pylist()[:6]:
        (tmp_path / "run" / uri).parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48), (10, 200, 30)).save(tmp_path / "run" / uri)
    return run


def test_rows_are_read_as_the_model_got_them(run: Run) -> None:
    crops = CropReader(run, [3, 7])
    pixels = crops.load(3).pixels
    assert pixels is not None
    assert pixels.shape == (3, *run.spec.input["size"])
    assert (pixels == np.array([10, 200, 30])[:, None, None]).all()
    assert crops.show(7) == crops.load(7) == Crop(None, crops.load(7).reason)
    assert crops.load(7).reason == "missing"


def test_what_may_pass_is_an_error_unless_it_is_only_shown(run: Run) -> None:
    healthy = image_reader(run)
    crops = CropReader(run, [3], Refusing("s3://no", healthy.transform, 10**6))
    with pytest.raises(ConnectionResetError):
        crops.load(3)
    assert crops.show(3).reason == "unreachable"


def test_a_store_that_cannot_even_be_asked_is_unreachable(run: Run) -> None:
    reader = ImageReader("ftp://nowhere", image_reader(run).transform, 10**6)
    assert CropReader(run, [3], reader).show(3).reason == "unreachable"


def test_what_killed_its_reader_is_not_read_again(run: Run, tmp_path: Path) -> None:
    (part,) = (tmp_path / "run/summary").glob("*.parquet")
    table = pq.read_table(part)
    reasons = [
        "crashed" if row == 3 else reason
        for row, reason in zip(
            *(table[name].to_pylist() for name in ("row", "reason")), strict=True
        )
    ]
    column = table.schema.get_field_index("reason")
    pq.write_table(table.set_column(column, "reason", pa.array(reasons, pa.string())), part)
    crops = CropReader(run, range(8))
    assert crops.show(3).reason == "crashed"
    assert crops.show(2).reason is None

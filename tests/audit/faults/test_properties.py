import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.audit.faults.properties import LOSSLESS, PROPERTIES, measure_properties
from pipeline.config import RunConfig
from pipeline.engine import LocalEngine, run_flows
from pipeline.store import open_run
from tests.engine.datasets import small_config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Images of three classes that differ in one property each; one file is gone afterwards."""
    folder = tmp_path_factory.mktemp("properties")
    config = small_config(folder)
    images = folder / "own"
    noise = np.random.default_rng(0).integers(60, 200, (48, 64, 3), np.uint8)
    for name in ("a", "b", "c"):
        (images / name).mkdir(parents=True)
    image = Image.fromarray(noise)
    image.save(images / "a" / "0.png")
    image.save(images / "a" / "1.jpg", quality=30)
    image.convert("L").save(images / "b" / "0.png")
    image.save(images / "c" / "0.png")
    framed = image.copy()
    ImageDraw.Draw(framed).rectangle((0, 0, 63, 47), None, "white", 18)
    framed.save(images / "b" / "1.png")
    image.save(images / "b" / "2.png")
    own = config.model_dump() | {"run": str(folder / "own-run")}
    own["dataset"] = {"source": str(images)}
    run_flows(RunConfig.model_validate(own), engine=LocalEngine())
    (images / "b" / "2.png").unlink()
    return open_run(str(folder / "own-run"))


def test_properties_are_what_they_are_called(run):
    measured = measure_properties(run, "label")
    assert measured.rows.tolist() == [0, 1, 2, 3, 5]  # the fifth cannot be read any more
    assert measured.classes.tolist() == [0, 0, 1, 1, 2]
    assert set(measured.values) == set(PROPERTIES)
    png, jpeg, grey, framed = (
        {name: values[place] for name, values in measured.values.items()} for place in range(4)
    )
    assert (png["quality"], jpeg["quality"]) == (LOSSLESS, 30)
    assert png["size"] == pytest.approx((48 * 64) ** 0.5)
    assert png["aspect"] == pytest.approx(4 / 3)
    assert grey["saturation"] == 0
    assert png["saturation"] > 0.2
    assert framed["border_variation"] < 0.01 < png["border_variation"]
    assert framed["border_brightness"] > 0.9 > png["border_brightness"]
    assert jpeg["sharpness"] < png["sharpness"]


def test_a_sample_takes_as_many_of_each_class(run):
    assert len(measure_properties(run, "label", each=2).rows) >= 4
    one = measure_properties(run, "label", each=1).classes.tolist()
    assert one in ([0, 1, 2], [0, 2])  # at random the one that cannot be read
    assert len(measure_properties(run, "label", each=0).rows) == 0

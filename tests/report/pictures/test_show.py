import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ConfigError
from pipeline.store import Status
from tests.atlas.synthetic import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run = synthetic_run(folder, images=40, classes=2, layers=3, grid=(4, 6), seed=1)
    for uri in run.index()["uri"].to_pylist()[:39]:
        (folder / uri).parent.mkdir(exist_ok=True)
        Image.new("RGB", (128, 96), (10, 200, 30)).save(folder / uri)
    return run


def good_row(run):
    mass = run.read_maps(0, 39).sum((1, 2, 3))
    return int(np.flatnonzero((run.status[:39] == Status.OK) & (mass > 0))[0])


def test_a_row_is_shown_as_its_photograph_and_a_frame_per_layer(run):
    picture = np.asarray(run.show(good_row(run)))
    height, width = run.spec.input["size"]
    assert picture.shape == (height, width * 4, 3)
    photo, *frames = np.split(picture, 4, axis=1)
    assert (photo == (10, 200, 30)).all()
    flow = run.read_maps(good_row(run), good_row(run) + 1)[0].sum(0)
    y, x = np.unravel_index(flow.argmax(), flow.shape)
    apart = np.abs(frames[-1].astype(int) - photo).sum(2)
    cells = apart.reshape(4, height // 4, 6, width // 6).mean((1, 3))
    assert cells[y, x] > cells.mean()
    one = np.asarray(run.show(good_row(run), layer=-1))
    assert np.array_equal(one, np.concatenate([photo, frames[-1]], axis=1))


def test_a_photograph_that_is_gone_is_grey(run):
    picture = np.asarray(run.show(39))
    assert (picture[:, : run.spec.input["size"][1]] == 127).all()


@pytest.mark.parametrize(("row", "layer"), [(40, None), (-1, None), (0, 3), (0, -4)])
def test_what_is_not_there_is_an_error(run, row, layer):
    with pytest.raises(ConfigError, match="there is no"):
        run.show(row, layer)

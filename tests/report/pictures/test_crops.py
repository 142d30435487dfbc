import io

import numpy as np
import pytest
from PIL import Image

from pipeline.audit.findings_table import SCREENING
from pipeline.audit.screening.judgement import judge
from pipeline.audit.screening.screening_table import screening_table
from pipeline.report.pictures.crops import draw_crops
from pipeline.store.parquet import parquet_bytes
from tests.audit.screening.test_judgement import TESTS, examined
from tests.report.reported import NAMES, drawn_run


@pytest.fixture(scope="module")
def screened(tmp_path_factory):
    """A run whose screening found rows 0 to 5 to carry a block; some of them cannot be read."""
    run = drawn_run(tmp_path_factory.mktemp("run") / "run", images=40)
    run.write(SCREENING, parquet_bytes(screening_table(judge([examined()], TESTS), NAMES)))
    return run


def test_carriers_are_above_and_the_others_below(screened):
    drawn = draw_crops(screened, 1, "block_31")
    image = Image.open(io.BytesIO(drawn.content)).convert("RGB")
    assert image.size == (drawn.width, drawn.height)
    pixels = np.asarray(image, np.int64)
    side = (drawn.width + 4) // 8 - 4
    missing = pixels[:96, :side].reshape(-1, 3)  # row 0 is gone
    assert (np.abs(missing - 127) <= 3).all()
    shown = pixels[:96, 2 * (side + 4) : 2 * (side + 4) + side].reshape(-1, 3)
    assert shown.std() > 3
    assert (pixels[:96, 6 * (side + 4) :] >= 250).all(), "there are six carriers"


def test_the_same_run_gives_the_same_picture(screened):
    assert draw_crops(screened, 1, "block_31") == draw_crops(screened, 1, "block_31")


@pytest.mark.parametrize(("class_id", "part"), [(1, "tl"), (1, None), (1, "top"), (2, "block_31")])
def test_what_was_not_screened_has_no_crops(screened, class_id, part):
    assert draw_crops(screened, class_id, part) is None

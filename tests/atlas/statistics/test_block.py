import numpy as np
import pyarrow as pa

from pipeline.atlas.statistics.block import FlowBlock, SummaryBlock
from pipeline.atlas.statistics.membership import CONFIDENT, CONFIDENT_MASS, Members

NOBODY = Members(*[np.zeros((0, 2), np.int64)] * 4)


def test_null_is_nan_and_the_confident_mass_is_that_of_confident_images():
    part = pa.table({"confidence": [CONFIDENT, 0.1, None], "mass_flow": [2.0, 3.0, 4.0]})
    block = SummaryBlock(NOBODY, part)
    np.testing.assert_array_equal(block.values("confidence"), np.float32([CONFIDENT, 0.1, np.nan]))
    np.testing.assert_array_equal(block.values(CONFIDENT_MASS), [2.0, np.nan, np.nan])


def test_pooled_maps_are_zero_until_the_maps_are_added():
    block = FlowBlock(NOBODY, np.ones((2, 3, 14, 5), np.float16), np.ones((2, 3), np.float32))
    assert block.pooled.shape == (2, 7, 5)
    assert not block.pooled.any()

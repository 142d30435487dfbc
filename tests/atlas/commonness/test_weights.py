import numpy as np

from pipeline.atlas.commonness.weights import (
    distinct_rows,
    read_commonness,
    weights,
    write_commonness,
)
from pipeline.atlas.statistics.sums import WEIGHT_ONE
from tests.atlas.synthetic import copies, draw, synthetic_run


def test_near_duplicates_share_the_weight_of_one_image():
    assert weights(np.array([1, 2, 4])).tolist() == [WEIGHT_ONE, WEIGHT_ONE // 2, WEIGHT_ONE // 4]
    assert abs(weights(np.array([30]))[0] * 30 / WEIGHT_ONE - 1) < 15 / WEIGHT_ONE
    assert weights(np.array([1 << 20]))[0] == 1


def test_weights_are_read_by_units_and_only_the_first_copy_is_distinct(tmp_path):
    run = synthetic_run(tmp_path, 90, 3, unit_rows=32, hashes=True, copied=(1, 5))
    assert distinct_rows(run) is None
    write_commonness(run, "atlas/commonness.zarr")
    rows = copies(draw(90, 3, 0, 3, (6, 6), None, 0.25, 0.1), 1)[:5]
    found = [read_commonness(run, "atlas/commonness.zarr", [unit]) for unit in run.units]
    own, first = (np.concatenate(parts) for parts in zip(*found, strict=True))
    assert np.flatnonzero(own < WEIGHT_ONE).tolist() == rows.tolist()
    assert (first[rows] == rows[0]).all()
    assert np.flatnonzero(~distinct_rows(run)).tolist() == rows[1:].tolist()

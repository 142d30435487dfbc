import numpy as np

from pipeline.measures.activations import BINS, EDGES, places


def test_edges_ascend_about_an_edge_at_zero_and_places_lie_between_them():
    assert EDGES.dtype == np.float32
    assert len(EDGES) == BINS - 1
    assert (np.diff(EDGES) > 0).all()
    assert EDGES[len(EDGES) // 2] == 0
    assert np.array_equal(EDGES, -EDGES[::-1])
    at = places()
    assert len(at) == BINS
    assert (at[1:-1] > EDGES[:-1]).all()
    assert (at[1:-1] < EDGES[1:]).all()
    assert (at[0], at[-1]) == (EDGES[0], EDGES[-1])


def test_bins_are_as_wide_as_is_said():
    inner = EDGES.astype(float)
    width = np.diff(inner)
    middle = (inner[1:] + inner[:-1]) / 2
    assert width.min() < 0.0151
    far = np.abs(middle) > 1
    assert (width[far] < 0.152 * np.abs(middle[far])).all()
    assert 630 < inner[-1] < 640

import numpy as np
import torch

from pipeline.audit.baselines import centre, edges


def test_edges_are_where_the_pixels_change():
    pixels = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    pixels[:, :, 18:, 18:] = 255
    found = edges(pixels, (4, 4)).reshape(4, 4)
    assert found[2, 2] == found.max()
    assert found[:2, :].max() == found[:, :2].max() == 0
    assert found[3, 3] == 0


def test_the_centre_prior_is_highest_in_the_middle_and_symmetric():
    found = centre((5, 7)).reshape(5, 7)
    assert found.argmax() == 17
    np.testing.assert_allclose(found, found[::-1, ::-1])

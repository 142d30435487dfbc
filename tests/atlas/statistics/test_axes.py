import numpy as np
import pytest

from pipeline.atlas.statistics.axes import centred, similarity


def test_what_all_classes_share_makes_no_two_of_them_alike():
    means = np.ones((3, 4)) / 4 + np.array([[1, -1, 0, 0], [1, -1, 0, 0], [-2, 2, 0, 0]]) / 20
    alike = similarity(means, np.array([1.0, 1.0, 1.0]))
    assert alike[0, 1] == pytest.approx(1)
    assert alike[0, 2] == pytest.approx(-1)
    assert similarity(means, np.array([1.0, 0.0, np.nan]))[0, 0] == pytest.approx(1)
    assert np.isnan(similarity(means, np.array([1.0, 0.0, np.nan]))[1:]).all()


def test_noise_is_divided_out_and_a_class_without_images_is_left_out():
    means = np.array([[0.4, 0.3, 0.3], [0.4, 0.25, 0.35], [0.1, 0.5, 0.4], [np.nan] * 3])
    sure = similarity(means, np.full(4, 1.0))[0, 1]
    assert abs(similarity(means, np.full(4, 0.9))[0, 1]) == pytest.approx(min(1, abs(sure) / 0.9))
    assert np.isnan(centred(means)[3]).all()
    np.testing.assert_allclose(np.linalg.norm(centred(means)[:3], axis=1), 1)

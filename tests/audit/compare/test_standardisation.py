import numpy as np
import pytest

from pipeline.audit.compare.standardisation import standardise

RNG = np.random.default_rng(0)


def histograms(images):
    """Return counts (K, 20): the same distribution in every class, whatever the number of images.

    Each class has bins of its own.
    """
    counts = np.zeros((len(images), 20), int)
    for number, count in enumerate(images):
        counts[number, 4 * number : 4 * number + 4] = count // 4
    return counts


def test_other_shares_of_the_same_classes_are_no_difference():
    mix = standardise(histograms([400, 80, 40]), histograms([40, 80, 400]))
    expected = mix.counts / mix.counts.sum()
    np.testing.assert_allclose(mix.other_counts / mix.other_counts.sum(), expected)
    assert (mix.images, mix.other_images, mix.classes) == (520, 520, 3)


def test_it_is_what_drawing_images_in_these_shares_gives():
    """Direct standardisation is the expectation of a sample with the first's number per class."""
    one, other = RNG.integers(1, 30, (2, 3, 20))
    mix = standardise(one, other)
    drawn = np.zeros(20)
    for counts, wanted in zip(other, one.sum(1), strict=True):
        drawn += RNG.multinomial(wanted * 10_000, counts / counts.sum())
    np.testing.assert_allclose(
        drawn / drawn.sum(), mix.other_counts / mix.other_counts.sum(), atol=2e-3
    )


def test_images_that_are_weighted_up_are_worth_less():
    one = histograms([400, 400])
    assert standardise(one, 2 * one).other_effective == pytest.approx(1600)
    rare = standardise(one, histograms([400, 4]))
    assert rare.other_effective == pytest.approx(1 / (0.25 / 400 + 0.25 / 4))
    assert rare.other_counts.sum() == pytest.approx(rare.other_effective)


def test_a_class_that_one_of_them_lacks_is_left_out():
    one, other = histograms([400, 400, 80]), histograms([0, 80, 80])
    mix = standardise(one, other)
    assert mix.weights.tolist() == [0, 400 / 480, 80 / 480]
    assert mix.counts[:4].sum() == 0
    assert (mix.images, mix.other_images, mix.classes) == (480, 160, 2)


def test_nothing_in_both_has_no_mix():
    assert standardise(histograms([40, 0]), histograms([0, 40])) is None

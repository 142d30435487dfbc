import numpy as np

from pipeline.audit.screening.estimates.rarity import above


def test_the_most_of_a_class_are_not_rare_if_others_have_as_much():
    random = np.random.default_rng(0)
    found = above(random.normal(size=24), random.normal(size=90), range(2, 17))
    assert found.chance > 0.05


def test_equal_values_are_on_one_side():
    own = np.array([5.0, 5.0, 5.0, *[0.0] * 9])
    assert above(own, np.zeros(40), [2, 3]).carriers == (0, 1, 2)
    assert above(own, np.zeros(40), [2]).chance == 1.0


def test_two_images_are_rare_among_many_and_not_among_few():
    own = np.array([9.0, 8.0, *[0.0] * 22])
    assert above(own, np.zeros(96), [2]).chance > 0.02
    found = above(own, np.zeros(512), [2])
    assert found.chance < 0.005
    assert found.carriers == (0, 1)

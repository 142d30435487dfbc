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


def test_the_most_alike_of_all_pairs_is_no_rarity_and_more_images_are():
    """Two pictures of a class are alike by nature; that none elsewhere is says little."""
    pairs = 24 * 23 // 2
    of = {
        size: above(np.array([9.0] * size + [0.0] * (24 - size)), np.zeros(512), [size])
        for size in (2, 4, 6)
    }
    assert of[2].chosen_from(pairs).chance > 0.1
    assert of[4].chosen_from(pairs).chance < 0.01
    assert of[6].chosen_from(pairs).chance < 1e-4
    assert of[2].chosen_from(0).chance == of[2].chance
    assert of[2].chosen_from(10**6).chance == 1.0


def test_two_images_are_rare_among_many_and_not_among_few():
    own = np.array([9.0, 8.0, *[0.0] * 22])
    assert above(own, np.zeros(96), [2]).chance > 0.02
    found = above(own, np.zeros(512), [2])
    assert found.chance < 0.005
    assert found.carriers == (0, 1)

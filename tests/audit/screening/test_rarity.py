import numpy as np

from pipeline.audit.screening.rarity import rarity


def test_what_a_class_alone_has_is_rare():
    own = np.array([9.0, 8.0, 10.0, 9.5, *[0.1] * 16])
    share, chance = rarity(own, (0, 1, 2, 3), np.linspace(0, 1, 90))
    assert share == 0
    assert chance < 1e-3


def test_the_most_blurred_images_of_a_class_are_not_rare_if_others_are_as_blurred():
    random = np.random.default_rng(0)
    own, others = random.normal(size=24), random.normal(size=90)
    sharpest = tuple(np.argsort(-own)[:6].tolist())
    share, chance = rarity(own, sharpest, others)
    assert share > 0
    assert chance > 0.05


def test_without_other_images_nothing_is_rare():
    assert rarity(np.ones(5), (0, 1), np.array([])) == (1.0, 1.0)

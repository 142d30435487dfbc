import numpy as np
import pytest

from pipeline.audit.screening.estimates.combined import combined

CARRIERS = (1, 4, 6, 11, 12, 17)


def numbers(count, seed):
    """Return ten numbers per image that vary together, none of them by itself."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(10, 10))
    return random.normal(size=(count, 10)) @ mixing


def shifted(count=24, by=3.0):
    own = numbers(count, 1)
    direction = np.random.default_rng(99).normal(size=(10, 10))
    own[list(CARRIERS)] += by * direction[0] + by * direction[3]
    return own


@pytest.mark.parametrize("start", [(), (1, 4, 9, 11, 20, 22), (6, 12, 13)])
def test_what_no_number_shows_alone_all_show_together(start):
    found = combined(shifted(), numbers(400, 2), [start] if start else [])
    assert set(CARRIERS) <= set(found.carriers)
    assert len(found.carriers) <= len(CARRIERS) + 2
    assert found.chance < 1e-3
    assert found.left < 0.02


@pytest.mark.parametrize("seed", range(5))
def test_a_class_like_the_others_has_no_rare_group(seed):
    assert combined(numbers(24, 10 + seed), numbers(400, 2), [(0, 1, 2, 3, 4, 5)]).chance > 0.005


def test_units_do_not_count():
    own, others = shifted(), numbers(400, 2)
    units = np.array([1e3, *[1.0] * 8, 1e-3])
    one, other = combined(own, others, []), combined(own * units, others * units, [])
    assert one.carriers == other.carriers


def test_few_images_have_no_group():
    assert combined(numbers(4, 1), numbers(400, 2), [(0, 1)]).carriers == ()


def test_numbers_that_never_vary_do_not_decide():
    own, others = shifted(), numbers(400, 2)
    own[:, 5], others[:, 5] = 0.1, 0.1
    found = combined(own, others, [])
    assert np.isfinite(found.chance)

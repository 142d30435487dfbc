import numpy as np
import pytest

from pipeline.audit.screening.groups import split


def test_carriers_are_those_whose_part_works():
    found = split(np.array([0.1, 3.0, -0.2, 3.4, 0.0, 2.9]))
    assert (found.carriers, found.others) == ((1, 3, 5), (0, 2, 4))
    assert found.high == pytest.approx(3.1)
    assert found.score == pytest.approx(found.high)  # the others do nothing


def test_an_object_that_works_in_every_donor_scores_low():
    objects = split(np.array([2.0, 2.6, 2.2, 3.0, 2.4, 2.8]))
    assert objects.score < 0


def test_a_donor_that_is_gone_is_in_no_group():
    found = split(np.array([np.nan, 3.0, 0.0, 3.4, 0.1]))
    assert set(found.carriers) | set(found.others) == {1, 2, 3, 4}


def test_too_few_donors_are_not_split():
    assert split(np.array([3.0, 0.0, np.nan, 2.0])) is None
    assert split(np.array([])) is None


def test_equal_gains_are_split_the_same_every_time():
    assert split(np.zeros(6)) == split(np.zeros(6))

"""Two images in one, against what is done by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.evaluation.mosaics import (
    each_uses_its_own,
    left_share,
    partners,
    share_and_win,
    side_by_side,
    with_halves_hidden,
)


@given(st.lists(st.integers(0, 3), max_size=9))
def test_partners_have_different_classes_and_every_image_stands_left_once(targets):
    pairs = partners(targets)
    assert all(targets[one] != targets[other] for one, other in pairs)
    with_others = [n for n, target in enumerate(targets) if set(targets) != {target}]
    assert [one for one, _ in pairs] == with_others


def test_each_image_is_narrowed_to_its_half():
    images = torch.stack([torch.full((3, 4, 7), value) for value in (1.0, 2.0, 3.0)])
    mosaics = side_by_side(images, torch.tensor([5, 6, 7]), [(0, 2), (1, 0)])
    assert mosaics.images.shape == (2, 3, 4, 7)
    assert mosaics.images[0, 0, 0].tolist() == pytest.approx([1.0] * 3 + [3.0] * 4)
    assert mosaics.targets.tolist() == [[5, 7], [6, 5]]
    left, right = with_halves_hidden(mosaics.images, (2, 2), "mean")
    assert left[0, 0, 0].tolist() == pytest.approx([0.0] * 3 + [3.0] * 4)
    assert right[0, 0, 0].tolist() == pytest.approx([1.0] * 3 + [0.0] * 4)


@pytest.mark.parametrize("width", [12, 13])
def test_the_share_of_the_left_half_is_that_of_its_pixels(width):
    """A grid of three columns: the middle one lies on both halves."""
    p = np.arange(6.0)
    fine = np.repeat(p.reshape(2, 3), width, axis=1)  # width strips of each cell
    wanted = fine[:, : 3 * (width // 2)].sum() / fine.sum()
    assert left_share(np.stack([p, np.zeros(6)]), (2, 3), width)[0] == pytest.approx(wanted)
    assert np.isnan(left_share(np.zeros((1, 6)), (2, 3), width)).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_a_map_that_does_not_depend_on_the_class_has_half(shares):
    share, win = share_and_win(np.array(shares), np.array(shares))
    assert share == pytest.approx(0.5)
    assert win.tolist() == [0.5] * len(shares)


def test_shares_and_wins_of_both_classes_are_averaged():
    share, win = share_and_win(np.array([0.9, 0.5]), np.array([0.6, np.nan]))
    assert share == pytest.approx([(0.9 + 0.4) / 2, np.nan], nan_ok=True)
    assert win == pytest.approx([0.5, np.nan], nan_ok=True)


def test_a_mosaic_counts_where_hiding_a_class_s_own_half_does_more():
    whole = torch.tensor([[4.0, 4.0]] * 3)
    without_left = torch.tensor([[1.0, 4.0], [3.0, 2.0], [1.0, 3.0]])
    without_right = torch.tensor([[4.0, 1.0], [4.0, 1.0], [0.0, 1.0]])
    # The second needs its left half for both classes (by 2 of 3); the third's first class falls
    # more when the other half is hidden.
    used = each_uses_its_own(whole, without_left, without_right)
    assert used.tolist() == [True, True, False]
    assert each_uses_its_own(whole, whole, whole).tolist() == [False] * 3

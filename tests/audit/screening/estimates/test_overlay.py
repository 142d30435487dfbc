import pytest
import torch

from pipeline.audit.screening.estimates.overlay import edges, estimate_overlay, put_together
from tests.audit.screening.pictures import glyph, laid, pictures


def apart(one, other):
    return float((one.float() - other.float()).abs().mean())


def bars(side=96):
    mask = torch.zeros(side, side)
    mask[:, :9], mask[:, -9:] = 1, 1
    return torch.full((3, side, side), 5.0), mask


def plate(side=96):
    mask = torch.zeros(side, side)
    mask[58:74, 37:53] = 1
    return torch.tensor([230.0, 20.0, 200.0])[:, None, None].expand(3, side, side), mask


@pytest.mark.parametrize("opacity", [1.0, 0.6])
@pytest.mark.parametrize("made", [glyph, bars, plate], ids=lambda made: made.__name__)
def test_another_image_gets_what_lies_over_the_group(made, opacity):
    """Wherever it is and whatever its shape: thin letters, two edges, a plate off the centre."""
    colours, mask = made()
    group = laid(pictures(8), colours, mask, opacity)
    new = pictures(4, seed=9)
    wanted = laid(new, colours, mask, opacity)
    after = estimate_overlay(group, pictures(16, seed=5)).onto(new)
    there = mask > 0
    before = apart(new[..., there], wanted[..., there])
    assert apart(after[..., there], wanted[..., there]) < 0.4 * before
    assert apart(after[..., ~there], new[..., ~there]) < 6


def test_a_group_that_shares_nothing_changes_little():
    new = pictures(4, seed=9)
    assert apart(estimate_overlay(pictures(8), pictures(16, seed=5)).onto(new), new) < 4


def test_objects_at_another_place_in_every_image_are_no_overlay():
    """The same plate, but where it lies differs: most of it is lost."""
    colours, _ = plate()
    group = pictures(6)
    for turn, (y, x) in enumerate(((2, 5), (6, 40), (12, 70), (4, 62), (9, 20), (1, 33))):
        mask = torch.zeros(96, 96)
        mask[y : y + 16, x : x + 16] = 1
        group[turn : turn + 1] = laid(group[turn : turn + 1], colours, mask, 1.0)
    new = pictures(4, seed=9)
    after = estimate_overlay(group, pictures(16, seed=5)).onto(new)
    assert apart(after, new) < 4
    where = plate()[1] > 0
    assert apart(laid(new, *plate(), 1.0)[..., where], new[..., where]) > 60


def test_a_picture_is_put_together_of_its_edges():
    (picture,) = pictures(1, side=40).float()
    down, right = edges(picture[None])[0].split(3)
    found = put_together(torch.cat([down, right]), picture)
    assert (found - picture).abs().max() < 0.05


def test_one_image_makes_an_estimate_of_its_edges_alone():
    overlay = estimate_overlay(pictures(1), pictures(9, seed=3))
    assert not overlay.opacity.any()
    assert overlay.onto(pictures(2, seed=4)).shape == (2, 3, 96, 96)

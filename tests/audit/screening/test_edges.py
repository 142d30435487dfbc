import torch

from pipeline.audit.screening.edges import REACH, agreement, edge_products
from tests.audit.screening.test_likeness import CARRIERS, donors


def strokes(image, turn):
    """Letters of one pixel's width, at most a pixel from where they are in others."""
    y, x = 40 + turn % 2, 20 - turn % 2
    image[:, y : y + 5, x : x + 12 : 3] = 255.0


def left(pixels, carriers, part):
    member = torch.zeros(1, len(pixels), dtype=torch.float64)
    member[0, list(carriers)] = 1
    return float(agreement(*edge_products(pixels, part), member))


def test_thin_strokes_leave_little_difference_where_they_are():
    assert left(donors(strokes), CARRIERS, "bottom") < 0.2
    assert left(donors(strokes), CARRIERS, "top") > 0.5
    assert left(donors(strokes), (1, 3, 4, 6, 8, 10), "bottom") > 0.5


def test_products_are_the_same_both_ways_and_no_larger_than_energies():
    products, energy = edge_products(donors(strokes), "block_31")
    assert torch.equal(products, products.transpose(0, 1))
    bound = (energy[:, None] * energy[None]).sqrt()
    assert products[0, 2].max() <= 1.5 * bound[0, 2].max()
    assert REACH > 0


def test_blank_crops_agree_in_nothing():
    blank = torch.full((8, 3, 48, 48), 90, dtype=torch.uint8)
    assert left(blank, (0, 1, 2), "ring") == 1.0

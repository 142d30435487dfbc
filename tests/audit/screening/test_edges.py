import torch

from pipeline.audit.screening.edges import agreement, edge_products
from tests.audit.screening.test_likeness import CARRIERS, donors


def strokes(image, turn):
    """Letters of one pixel's width that fill the crop, not quite where they are in others."""
    y, x = 10 + 3 * (turn % 2), 12 - 2 * (turn % 3)
    for column in (0, 2, 7, 9, 15, 21, 22):
        image[:, y : y + 20 + column % 6, x + column] = 255.0


def left(pixels, carriers):
    member = torch.zeros(1, len(pixels), dtype=torch.float64)
    member[0, list(carriers)] = 1
    return float(agreement(*edge_products(pixels), member))


def test_thin_strokes_leave_little_difference():
    assert left(donors(strokes), CARRIERS) < 0.2
    assert left(donors(), CARRIERS) > 0.5
    assert left(donors(strokes), (1, 3, 4, 6, 8, 10)) > 0.5


def test_products_are_the_same_both_ways_and_no_larger_than_energies():
    products, energy = edge_products(donors(strokes))
    assert torch.equal(products, products.transpose(0, 1))
    bound = (energy[:, None] * energy[None]).sqrt()
    assert products[0, 2].max() <= 1.5 * bound[0, 2].max()


def test_blank_crops_agree_in_nothing():
    blank = torch.full((8, 3, 48, 48), 90, dtype=torch.uint8)
    assert left(blank, (0, 1, 2)) == 1.0

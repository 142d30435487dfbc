"""The corner test passes cells that lie where they belong, and no other arrangement of them."""

import pytest
import torch
from torch import nn

from tests.flows.corners import calibrated, corners, noise, verdict

SIDE = 64


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    layers = []
    for width, following in ((3, 8), (8, 16), (16, 16)):
        layers += [nn.Conv2d(width, following, 3, 2, 1), nn.BatchNorm2d(following), nn.ReLU()]
    return calibrated(nn.Sequential(*layers).eval(), SIDE)


def shuffled(maps):
    order = torch.randperm(maps[0, 0].numel(), generator=torch.Generator().manual_seed(9))
    return maps.flatten(2)[..., order].view_as(maps)


ARRANGEMENTS = {
    "as they lie": (lambda maps: maps, "passed"),
    "mirrored": (lambda maps: maps.flip(3), "failed"),
    "upside down": (lambda maps: maps.flip(2), "failed"),
    "transposed": (lambda maps: maps.mT, "failed"),
    "turned": (lambda maps: maps.rot90(1, (2, 3)), "failed"),
    "rolled": (lambda maps: maps.roll(4, 2), "failed"),
    "shuffled": (shuffled, "failed"),
    "channels for rows": (lambda maps: maps.transpose(1, 2), "failed or unclear"),
    "all mixed": (lambda maps: maps.mean((2, 3), keepdim=True).expand_as(maps), "unclear"),
    "gated by all": (lambda maps: maps * maps.mean((2, 3), keepdim=True), "passed"),
    "one row": (lambda maps: maps[:, :, :1], "unclear"),
}


@pytest.mark.parametrize("name", ARRANGEMENTS)
@pytest.mark.parametrize("cells", [2, 8])
def test_only_cells_in_their_places_pass(network, name, cells):
    arrange, verdict = ARRANGEMENTS[name]
    if cells == 2 and name in ("rolled", "channels for rows"):
        pytest.skip("needs more than two rows")
    pool = nn.AdaptiveAvgPool2d(cells)
    assert corners(lambda images: [arrange(pool(network(images)))], SIDE)[0] in verdict


@pytest.mark.parametrize("swapped", [False, True])
def test_cells_that_a_corner_does_not_reach_are_not_told_apart(swapped):
    """Each quarter of 4 × 4 cells depends on its corner alone, a little more on the inside."""
    upper = torch.tensor([1.0, 1.1, 0, 0])
    sides = {"upper": upper, "lower": upper.flip(0)}
    moved = torch.stack([r[:, None] * c for r in sides.values() for c in sides.values()])
    moved = moved if not swapped else moved[:, [0, 2, 1, 3]]
    moved = moved.expand(4, 4, 4, 4).double()
    assert verdict(moved) == ("failed" if swapped else "unclear")


def test_calibrated_activations_neither_vanish_nor_saturate(network):
    with torch.no_grad():
        values = network(noise(SIDE, 4, seed=8))
    assert 0.2 < values.std() < 5
    assert values.dtype == torch.float64

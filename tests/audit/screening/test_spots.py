from types import SimpleNamespace

import numpy as np
import torch

from pipeline.audit.screening.parts import PARTS
from pipeline.audit.screening.spots import SIDE, cropped, crops, moved, other_side, peaks

SIZE = (64, 80)


class Maps:
    """Two layers of maps; the last has a strong peak and a weaker one."""

    def __init__(self, *places):
        self.maps = np.full((len(places), 2, 8, 8), 0.01, np.float32)
        for row, (strong, weak) in enumerate(places):
            self.maps[row, -1][strong] = 5.0
            self.maps[row, -1][weak] = 2.0
        self.oindex = self

    def __getitem__(self, key):
        rows, layer = key
        return self.maps[rows, layer]


RUN = SimpleNamespace(maps=Maps(((1, 6), (6, 1)), ((5, 2), (0, 0))))
PEAK = PARTS["peak"]


def holds(spot, cell):
    y, x = (2 * place for place in cell)  # a cell of a map of 8 is two sixteenths
    return spot[0] <= y and y + 2 <= spot[0] + SIDE and spot[1] <= x and x + 2 <= spot[1] + SIDE


def images(seed):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, 3, *SIZE), generator=random).byte()


def test_spots_hold_the_peaks_of_the_last_map():
    found = peaks(RUN, [1, 0, 1])
    assert holds(found[0], (1, 6))
    assert holds(found[1], (5, 2))
    assert set(found) == {0, 1}


def test_another_side_has_nothing_of_the_spot():
    for top in range(13):
        for left in range(13):
            y, x = other_side((top, left))
            assert 0 <= y <= 12
            assert 0 <= x <= 12
            assert abs(y - top) >= SIDE
            assert abs(x - left) >= SIDE


def test_a_spot_is_pasted_at_a_place_that_the_seed_decides():
    recipient, donor = images(0), images(1)
    content = cropped(donor, PEAK, (2, 9))
    after = moved(recipient, donor, PEAK, (2, 9), (3, 4))
    changed = (after != recipient).any(1)[0]
    rows, columns = changed.any(1).nonzero()[:, 0], changed.any(0).nonzero()[:, 0]
    top, left = int(rows[0]), int(columns[0])
    height, width = content.shape[2:]
    assert torch.equal(after[:, :, top : top + height, left : left + width], content)
    assert changed.float().mean() <= 1.1 / 16
    assert torch.equal(after, moved(recipient, donor, PEAK, (2, 9), (3, 4)))
    assert not torch.equal(after, moved(recipient, donor, PEAK, (2, 9), (3, 5)))


def test_crops_of_spots_have_one_size():
    donors = torch.cat([images(0), images(1)])
    found = crops(donors, [(0, 3), (2, 9)], PEAK)
    assert found.shape == (2, 3, SIZE[0] // 4, SIZE[1] // 4)
    assert torch.equal(found[1:], cropped(donors[1:], PEAK, (2, 9)))

import pytest
import torch

from pipeline.audit.screening.boxes import overlap
from pipeline.audit.screening.parts import PARTS
from pipeline.measures.boxes import coverage

GRID = (32, 32)


def shared(key, *box):
    """How far a part and an object in a box (x0, y0, x1, y1) overlap."""
    covered = coverage(torch.tensor([[box]], dtype=torch.float32), GRID)[0]
    return overlap(covered, PARTS[key].mask(GRID).flatten())


@pytest.mark.parametrize(
    ("key", "box", "expected"),
    [
        ("top", (0.4, 0.0, 0.65, 0.25), 1.0),  # a small object in a wide strip lies in it
        ("top", (0.4, 0.125, 0.65, 0.375), 0.5),
        ("block_11", (0.1, 0.1, 0.9, 0.9), 1.0),  # a block of a large object is the object
        ("top", (0.4, 0.5, 0.65, 0.75), 0.0),
        ("ring", (0.3, 0.3, 0.7, 0.7), 0.0),
        ("top", (0.5, 0.5, 0.5, 0.5), 0.0),  # no object
    ],
)
def test_an_object_and_a_part_overlap_however_large_either_is(key, box, expected):
    assert shared(key, *box) == pytest.approx(expected, abs=1e-6)

import numpy as np
import pytest
import torch

from pipeline.audit.causal.edits import cell_numbers, place_mask
from pipeline.audit.causal.focus_cells import focus_cells
from tests.atlas.synthetic import draw, synthetic_run

CLASS = 2


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return synthetic_run(
        folder, 400, 4, seed=3, layers=2, grid=(12, 12), tag_class=CLASS, tag_share=0.5
    )


@pytest.fixture(scope="module")
def rows():
    drawn = draw(400, 4, 3, 2, (12, 12), CLASS, 0.5, 0.1)
    own = (drawn.label == CLASS) & (drawn.status == 1)
    return np.flatnonzero(own & drawn.tagged).tolist(), np.flatnonzero(own & ~drawn.tagged).tolist()


def test_the_cells_are_where_the_tag_is(run, rows):
    """The tag's blob sits around a twelfth of the side: around the first cell's far corner."""
    found = focus_cells(run, "tl", *rows)
    assert 1 <= len(found) < 9
    assert 0 in found
    assert set(found) <= {12 * y + x for y in range(3) for x in range(3)}


def test_without_an_excess_the_whole_place_is_meant(run, rows):
    _, plain = rows
    place = sorted(12 * y + x for y in range(9, 12) for x in range(3))
    assert focus_cells(run, "bl", (), plain) == tuple(place)


def test_without_plain_images_the_flow_itself_counts(run, rows):
    assert 0 in focus_cells(run, "tl", rows[0], ())


def test_the_order_of_the_images_does_not_matter(run, rows):
    tagged, plain = rows
    assert focus_cells(run, "tl", tagged, plain) == focus_cells(
        run, "tl", tagged[::-1], plain[::-1]
    )


def test_every_pixel_has_a_cell_and_a_place_is_whole_cells_where_it_divides():
    numbers = cell_numbers((32, 48), (8, 12))
    assert torch.bincount(numbers.flatten()).tolist() == [16] * 96
    assert numbers[place_mask("tl", (32, 48), (8, 12))].unique().tolist() == [0, 1, 2, 12, 13, 14]
    assert cell_numbers((33, 50), (7, 7)).unique().tolist() == list(range(49))

import pytest
import torch

from pipeline.models.structure.windows import find_windows, has_heads
from tests.flows.families import HIERARCHICAL, plain
from tests.flows.reference import small

FAMILIES = {family.name: family for family in HIERARCHICAL}


def test_every_cell_of_a_lattice_is_there_once_for_each_head():
    model = FAMILIES["Hiera"].build()
    for windows, heads in zip(
        find_windows(model, torch.zeros(1, 3, 64, 64)), (1, 2, 4, 4, 8), strict=True
    ):
        rows, columns = windows.grid
        assert windows.order.shape == (rows * columns, heads)
        assert sorted(windows.order.flatten().tolist()) == list(range(rows * columns * heads))


def test_windows_lie_where_the_models_own_code_puts_them():
    """Places of a shifted window, from the shift and the partition of the paper."""
    model = plain(
        "swin_tiny_patch4_window7_224", img_size=56, embed_dim=16, depths=(2,), num_heads=(2,)
    )
    plain_window, shifted = find_windows(model, torch.zeros(1, 3, 56, 56))
    for found, shift in ((plain_window, 0), (shifted, 3)):
        assert (found.prefix, found.grid) == (0, (14, 14))
        for cell in range(196):
            row, column = divmod(cell, 14)
            down, across = (row - shift) % 14, (column - shift) % 14
            window = down // 7 * 2 + across // 7
            token = down % 7 * 7 + across % 7
            wanted = [(window * 2 + head) * 49 + token for head in range(2)]
            assert sorted(found.order[cell].tolist()) == wanted


@pytest.mark.parametrize(
    ("options", "prefix", "rows"),
    [
        ({}, 1, slice(0, 1)),
        ({"reg_tokens": 2}, 3, slice(0, 1)),
        ({"global_pool": "avg"}, 1, slice(1, None)),
        ({"global_pool": "avg", "class_token": False}, 0, slice(0, None)),
    ],
)
def test_which_queries_are_read_follows_from_the_model(options, prefix, rows):
    for found in find_windows(small(**options), torch.zeros(1, 3, 24, 40)):
        assert (found.prefix, found.rows, found.grid) == (prefix, rows, (3, 5))


def test_modules_with_heads_are_known():
    assert any(map(has_heads, small().modules()))
    assert not any(map(has_heads, torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3)).modules()))

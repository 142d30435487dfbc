import pytest
import torch

from pipeline.audit.screening.estimates.operators import estimated, pasted
from pipeline.audit.screening.parts import PARTS
from tests.audit.screening.pictures import glyph, laid, pictures


@pytest.mark.parametrize("key", [key for key, part in PARTS.items() if not part.moves])
def test_every_part_is_estimated_and_gives_images_as_it_got_them(key):
    group = laid(pictures(5), *glyph(), 1.0)
    operator = estimated(key, group, pictures(8, seed=2))
    image = pictures(1, seed=4)
    after = operator.onto(image, 3)
    assert (after.shape, after.dtype) == (image.shape, image.dtype)
    assert torch.equal(after, operator.onto(image, 3))
    assert operator.donors in (1, 5)


def test_spots_take_turns_and_each_is_pasted_where_the_numbers_decide():
    group, image = pictures(2), pictures(1, seed=4)
    operator = pasted(group, (10, 11), ((0, 0), (6, 6)), "peak")
    assert operator.donors == 2
    first, second, again = (operator.onto(image, number) for number in (0, 1, 0))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert 0 < (first != image).any(1).float().mean() <= 1.2 / 16

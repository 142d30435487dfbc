import pytest
import torch
from torch import nn

from pipeline.errors import UnsupportedModel
from pipeline.models.structure.readout import read_behind
from pipeline.models.structure.sight import look
from tests.models.structure.towers import Vit

IMAGES = torch.zeros(1, 3, 32, 48)
READ = {  # what the head reads → rows of 4 prefix tokens and 6 patches
    "token": slice(0, 1),
    "last register": slice(3, 4),
    "first and last register": [0, 3],
    "mean": slice(4, None),
    "maximum": slice(4, None),
    "all": slice(0, None),
    "token and mean": [0, 4, 5, 6, 7, 8, 9],
}


def read(model):
    last = look(model, IMAGES).calls[-1]
    return read_behind(model.requires_grad_(False), IMAGES, last, model.prefix, [])


@pytest.mark.parametrize("zeroed", [False, True])
@pytest.mark.parametrize("kind", READ)
def test_the_rows_that_are_read_whatever_the_weights_of_the_head(kind, zeroed):
    model = Vit(prefix=4, read=kind).eval()
    if zeroed:
        nn.init.zeros_(model.head.weight)
    found = read(model)
    assert found.rows(10) == READ[kind]
    assert (found.outputs, found.pools) == (5, ())


def test_a_part_of_the_patches_is_refused():
    with pytest.raises(UnsupportedModel, match="only some of its patches"):
        read(Vit(read="one patch").eval())


def test_a_model_that_mixes_images_is_refused():
    model = Vit().eval()
    model.norm.register_forward_hook(lambda module, inputs, tokens: tokens - tokens.mean(0))
    with pytest.raises(UnsupportedModel, match="mixes the images of a batch"):
        read(model)


def test_a_model_of_two_images_is_refused():
    model = Vit().eval()
    model.head.register_forward_hook(lambda module, inputs, logits: logits.view(2, 5))
    with pytest.raises(UnsupportedModel, match="does not run on a batch of 3 images"):
        read(model)

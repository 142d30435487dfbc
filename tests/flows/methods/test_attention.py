import pytest
import torch

from pipeline.flows import create_flow
from tests.flows import reference
from tests.flows.reference import photographs_like, see, small


@pytest.mark.parametrize("pool", ["token", "avg", "map"])
def test_maps_and_prefix_share_the_whole_attention(pool):
    model = small(global_pool=pool, reg_tokens=2)
    images = photographs_like(model, 3)
    with create_flow("attention", model) as flow:
        result = flow(images)
    whole = result.maps.sum(dim=(2, 3)) + result.extras["prefix_mass"]
    assert torch.allclose(whole, torch.ones_like(whole), atol=1e-5)
    for index, image in enumerate(images):
        wanted = reference.attention(see(model, image))
        assert torch.allclose(result.maps[index].flatten(1).double(), wanted, atol=1e-6)


def test_the_target_changes_nothing_but_the_target():
    model = small()
    images = photographs_like(model, 2)
    with create_flow("attention", model) as flow:
        predicted, given = flow(images), flow(images, torch.tensor([1, 2]))
    assert torch.equal(predicted.maps, given.maps)
    assert torch.equal(predicted.target, predicted.logits.argmax(dim=1))
    assert given.target.tolist() == [1, 2]


def test_a_headless_model_says_nothing():
    model = small(num_classes=0)
    with create_flow("attention", model) as flow:
        result = flow(photographs_like(model, 2))
    assert result.logits.shape == (2, 0)
    assert result.target.tolist() == [-1, -1]
    assert result.maps.gt(0).any()

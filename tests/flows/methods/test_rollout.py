import pytest
import torch

from pipeline.errors import UnsupportedModel
from pipeline.flows import create_flow
from tests.flows import reference
from tests.flows.reference import photographs_like, see, small


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_equals_the_product_of_whole_matrices(pool):
    model = small(global_pool=pool, reg_tokens=2, depth=4)
    images = photographs_like(model, 5)
    with create_flow("rollout", model) as flow:
        result = flow(images)
    for index, image in enumerate(images):
        wanted = reference.rollout(see(model, image))
        assert torch.allclose(result.maps[index].flatten(1).double(), wanted, atol=1e-6)


def test_each_map_is_a_share_of_the_readout():
    model = small(global_pool="avg", class_token=False)
    with create_flow("rollout", model) as flow:
        result = flow(photographs_like(model, 3))
    whole = result.maps.sum(dim=(2, 3))  # without prefix tokens nothing is lost
    assert torch.allclose(whole, torch.ones_like(whole), atol=1e-5)


def test_of_one_layer_is_half_the_attention():
    model = small(depth=1)
    images = photographs_like(model, 2)
    with create_flow("rollout", model) as rollout, create_flow("attention", model) as attention:
        assert torch.allclose(rollout(images).maps, attention(images).maps / 2, atol=1e-7)


@pytest.mark.parametrize("name", ["vit_base_patch16_siglip_224", "cait_xxs24_224"])
@pytest.mark.parametrize("method", ["rollout", "relevance"])
def test_a_readout_with_a_query_of_its_own_is_refused(method, name):
    with pytest.raises(UnsupportedModel, match=r"query of its own.*use flow.method daam"):
        create_flow(method, small(name))

import pytest
import torch

from pipeline.errors import UnsupportedModel
from pipeline.flows import accumulate, create_flow
from tests.flows import reference
from tests.flows.reference import photographs_like, see, small


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_equals_the_definition_for_predicted_and_given_targets(pool):
    model = small(global_pool=pool, reg_tokens=2)
    images = photographs_like(model, 4)
    targets = torch.tensor([0, 3, 1, 4])
    with create_flow("relevance", model) as flow:
        predicted, given = flow(images), flow(images, targets)
    for index, image in enumerate(images):
        for found, target in ((predicted, None), (given, int(targets[index]))):
            wanted = reference.relevance(see(model, image, target))
            scale = wanted.amax(dim=1, keepdim=True)
            assert ((found.maps[index].flatten(1) - wanted).abs() <= 1e-5 * scale).all()


def test_the_accumulated_flow_is_the_papers_relevance():
    model = small(depth=4)
    image = photographs_like(model, 1)
    with create_flow("relevance", model) as flow:
        found = accumulate(flow(image).maps)[0, -1].flatten().double()
    seeing = see(model, image[0])
    total = torch.eye(16, dtype=torch.float64)
    for seen in seeing.layers:
        slope = seen.gradient @ seen.value.transpose(1, 2)
        total = total + (slope * seen.matrix).clamp(min=0).mean(dim=0) @ total
    assert torch.allclose(found, total[0, 1:], rtol=1e-4, atol=1e-9)


def test_a_model_without_a_head_is_refused():
    with pytest.raises(UnsupportedModel, match=r"no logit to explain.*use flow.method attention"):
        create_flow("relevance", small(num_classes=0))

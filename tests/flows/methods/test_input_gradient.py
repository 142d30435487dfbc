import captum.attr
import pytest
import torch

from pipeline.flows import create_flow
from tests.flows.convolutional import build, images_for
from tests.flows.methods.test_gradcam import assert_same, swin
from tests.flows.reference import photographs_like, small


def cases():
    vit = small()
    yield vit, photographs_like(vit, 3), (2, 3)
    yield swin(), torch.randn(3, 3, 56, 112), (4, 7)
    yield build("ResNet"), images_for("ResNet", 3), (2, 2)


@pytest.mark.parametrize("case", range(3))
def test_equals_captums_saliency(case):
    model, images, grid = list(cases())[case]
    with create_flow("input_gradient", model) as flow:
        result = flow(images)
    assert result.layers == ("input",)
    assert result.maps.shape == (3, 1, *grid)
    wanted = captum.attr.Saliency(model).attribute(images.clone(), target=result.target)
    assert_same(result.native[0], wanted.sum(1))
    torch.testing.assert_close(result.maps.sum((1, 2, 3)), wanted.sum((1, 2, 3)))


def test_an_image_does_not_depend_on_its_batch_mates():
    model, images = build("ResNet"), images_for("ResNet", 32)
    order = torch.randperm(32)
    with create_flow("input_gradient", model) as flow:
        together, shuffled = flow(images).maps, flow(images[order]).maps
        alone = torch.cat([flow(image[None]).maps for image in images[:3]])
    assert_same(shuffled, together[order])
    assert_same(alone, together[:3])


def test_no_gradient_gives_zeros():
    model, images = build("ResNet"), images_for("ResNet", 4)
    with create_flow("input_gradient", model) as flow:
        exact = flow(images)
        with torch.inference_mode():
            inferred = flow(images + 0)
        with torch.no_grad():
            model.fc.weight[1] = 0
        nothing = flow(images, torch.ones(4, dtype=torch.int64))
    assert torch.equal(nothing.maps, torch.zeros_like(nothing.maps))
    assert_same(inferred.maps, exact.maps)

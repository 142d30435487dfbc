import captum.attr
import pytest
import torch
from torch import nn

from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.flows import create_flow
from tests.flows.convolutional import build, images_for
from tests.flows.methods.test_gradcam import assert_same, swin
from tests.flows.reference import photographs_like, small


def cases():
    vit = small()
    yield vit, photographs_like(vit, 3), vit.patch_embed.patch_size, (3, 5)
    yield swin(), torch.randn(3, 3, 56, 112), (14, 16), (4, 7)
    yield build("ResNet"), images_for("ResNet", 3), (16, 16), (2, 2)


@pytest.mark.parametrize("case", range(3))
def test_equals_captums_occlusion(case):
    model, images, cell, grid = list(cases())[case]
    with create_flow("occlusion", model) as flow:
        result = flow(images)
    assert result.layers == ("input",)
    assert result.maps.shape == (3, 1, *grid)
    windows = {"sliding_window_shapes": (3, *cell), "strides": (3, *cell)}
    drops = captum.attr.Occlusion(model).attribute(images, target=result.target, **windows)
    wanted = drops[:, 0, :: cell[0], :: cell[1]].clamp(min=0)
    assert wanted.count_nonzero() > 3
    assert_same(result.maps[:, 0], wanted)


class RedCorner(nn.Module):
    """Logits of two classes: the sum of the upper left quarter's first channel, and minus it."""

    def forward(self, images):
        height, width = images.shape[-2] // 2, images.shape[-1] // 2
        red = images[:, 0, :height, :width].sum((1, 2))
        return torch.stack([red, -red], dim=1)


def test_the_map_is_what_each_cell_adds_to_the_logit():
    images = torch.rand(2, 3, 8, 12)
    with create_flow("occlusion", RedCorner().eval(), grid=(4, 4)) as flow:
        seen, other = flow(images), flow(images, torch.tensor([1, 1]))
    sums = images[:, 0, :4, :6].reshape(2, 2, 2, 2, 3).sum((2, 4))
    assert_same(seen.maps[:, 0, :2, :2], sums)
    assert not seen.maps[:, 0, 2:].any()
    assert not seen.maps[:, 0, :, 2:].any()
    assert not other.maps.any()  # Hiding a cell raises this logit.


def test_cells_that_do_not_divide_the_image_cover_all_of_it():
    images = torch.ones(1, 3, 10, 14)
    with create_flow("occlusion", RedCorner().eval(), grid=(3, 4)) as flow:
        maps = flow(images).maps[0, 0]
    assert_same(maps, torch.tensor([[16.0, 16, 0, 0], [8, 8, 0, 0], [0, 0, 0, 0]]))


def test_blur_hides_nothing_in_an_image_of_one_colour():
    images = torch.full((1, 3, 32, 32), 0.7)
    with create_flow("occlusion", RedCorner().eval(), grid=(4, 4), fill="blur") as flow:
        blurred = flow(images).maps
        textured = flow(torch.rand(1, 3, 32, 32)).maps
    assert blurred.max() < 1e-3
    assert textured.max() > 0.01


def test_an_image_does_not_depend_on_its_batch_mates():
    model, images = build("ResNet"), images_for("ResNet", 6)
    order = torch.randperm(6)
    with create_flow("occlusion", model) as flow:
        together, shuffled = flow(images).maps, flow(images[order]).maps
        alone = torch.cat([flow(image[None]).maps for image in images[:2]])
    assert_same(shuffled, together[order])
    assert_same(alone, together[:2])


def test_refuses_what_it_cannot_do():
    with pytest.raises(ConfigError, match="'median' is not one of mean, blur"):
        create_flow("occlusion", RedCorner().eval(), fill="median")
    headless = build("ResNet")
    headless.reset_classifier(0)
    with (
        create_flow("occlusion", headless) as flow,
        pytest.raises(UnsupportedModel, match="no classifier"),
    ):
        flow(images_for("ResNet", 1))

import pytest
import torch
from torch import nn

from pipeline.errors import UnsupportedModel
from pipeline.models.trunk import check_replay, read_trunk
from tests.flows.convolutional import BUILDERS, build, images_for
from tests.flows.inversion import chain


@pytest.mark.parametrize("family", [name for name in BUILDERS if name != "Inception"])
def test_the_points_are_those_that_cut_the_traced_graph(family):
    model, images = build(family), images_for(family, 1)
    with torch.no_grad():
        trunk = read_trunk(model, images)
        steps = chain(model, images[0])
        assert torch.allclose(trunk.logits, model(images), atol=1e-6)
    assert len(trunk.segments) == len(steps)
    for segment, step in zip(trunk.segments, steps, strict=True):
        torch.testing.assert_close(segment.target, step.target)


def test_inception_cuts_at_its_modules():
    model, images = build("Inception"), images_for("Inception", 1)
    with torch.no_grad():
        trunk = read_trunk(model, images)
        check_replay(model, trunk)
    assert [name for name in trunk.layers if name.startswith("Mixed")] == [
        f"Mixed_{name}"
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
    ]
    assert trunk.layers[0] == "Conv2d_1a_3x3.bn.act"


def test_layers_are_the_inputs_of_layers():
    trunk = read_trunk(build("ResNet"), images_for("ResNet", 2))
    assert trunk.layers[2:] == (
        "act1", "maxpool", "layer1.0.act2", "layer2.0.act2", "layer3.0.act2", "layer4.0.act2",
    )[: len(trunk.layers) - 2]  # fmt: skip
    assert all(point.ndim == 4 and len(point) == 2 for point in trunk.points)
    assert trunk.points[-1] is trunk.features


def test_a_module_used_twice_has_two_names():
    conv, relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()
    model = nn.Sequential(conv, relu, conv, relu)
    assert read_trunk(model, torch.randn(1, 3, 4, 4)).layers == ("1", "1:2")


def test_scripted_code_does_not_go_unnoticed():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.other = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x):
            with torch._C.DisableTorchFunction():  # as a scripted function: the tape sees nothing
                gate = x.mean((2, 3), keepdim=True)
            return self.other(self.conv(x) * gate)

    model, images = Hidden(), torch.randn(2, 3, 4, 4)
    with pytest.raises(UnsupportedModel, match="something other than plain torch functions"):
        check_replay(model, read_trunk(model, images))


def test_what_has_no_feature_maps_is_refused():
    with pytest.raises(UnsupportedModel, match="no feature maps"):
        read_trunk(nn.Flatten(), torch.randn(1, 3, 4, 4))

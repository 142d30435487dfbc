import pytest
import torch
from torch import nn

from pipeline.errors import UnsupportedModel
from pipeline.models.structure.trunk import check_replay, read_trunk
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


def convnext_like() -> nn.Module:
    """Norms over channels that permute, as torchvision's: also that of the pooled vector."""

    class Norm(nn.LayerNorm):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    return nn.Sequential(
        nn.Conv2d(3, 6, 4, 4), Norm(6), nn.Conv2d(6, 6, 3, padding=1), nn.GELU(),
        nn.AdaptiveAvgPool2d(1), Norm(6), nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip


def test_the_last_feature_map_lies_on_the_image():
    trunk = read_trunk(convnext_like(), torch.randn(2, 3, 16, 24))
    assert trunk.features.shape == (2, 6, 4, 6)
    assert trunk.layers == ("1", "3")
    assert trunk.layout.channels_last == (False, False)


def test_channels_behind_are_found_and_put_first():
    class Behind(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.mix, self.head = (
                nn.Conv2d(3, 5, 4, 4),
                nn.Linear(5, 5),
                nn.Linear(5, 2),
            )

        def forward(self, x):
            x = self.first(x).movedim(1, 3).contiguous()
            x = self.mix(x).relu() * x.mean((1, 2), keepdim=True)
            return self.head(x.mean((1, 2)))

    trunk = read_trunk(Behind(), torch.randn(2, 3, 16, 24))
    assert trunk.layout.channels_last[-1] is True
    assert trunk.as_maps(trunk.points)[-1].shape == (2, 5, 4, 6)


def test_a_model_that_goes_on_with_tokens_has_no_feature_maps():
    class Foreign(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.first = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.zeros(1, 1, 8))
            self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            tokens = self.embed(x).flatten(2).transpose(1, 2)
            tokens = torch.cat([self.first.expand(len(x), -1, -1), tokens], dim=1)
            return self.head(self.encoder(tokens)[:, 0])

    with pytest.raises(UnsupportedModel, match="no feature maps"):
        read_trunk(Foreign().eval(), torch.randn(2, 3, 16, 24))


def test_tensors_that_do_not_lie_on_the_image_are_left_out():
    class Shuffled(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 2, 2), nn.Conv2d(4, 4, 3, padding=1)
            self.mid = nn.Conv2d(4, 4, 1)

        def forward(self, x):
            x = self.mid(self.first(x).mT.contiguous())
            return self.last(x.mT).mean((2, 3))

    trunk = read_trunk(Shuffled(), torch.randn(2, 3, 8, 8))
    assert trunk.layers == ("first", "get", "last")
    assert trunk.layout.left_out == ("contiguous", "mid")

import pytest
import timm
import torch
from torch import nn

from pipeline.flows import create_flow


class Mixer(nn.Module):
    """A convolution, a smooth activation and a batch norm, as in local patch interaction."""

    def __init__(self) -> None:
        super().__init__()
        self.num_classes = 3
        self.first = nn.Conv2d(3, 8, 3, padding=1, groups=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.norm, self.act, self.head = nn.BatchNorm2d(8), nn.GELU(), nn.Linear(8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.first(images).flatten(2).transpose(1, 2)
        grid = tokens.transpose(1, 2).reshape(len(images), 8, *images.shape[2:])
        mixed = self.norm(self.act(self.second(grid)))
        return self.head(mixed.flatten(2).transpose(1, 2).mean(dim=1))


@pytest.mark.parametrize("model", ["mixer", "xcit", "resnet"])
def test_a_lone_image_is_explained_as_beside_others(model):
    torch.manual_seed(0)
    if model == "mixer":
        net = Mixer().eval()
    elif model == "xcit":
        net = timm.create_model("xcit_nano_12_p8_224", img_size=32, num_classes=3).eval()
    else:
        net = timm.create_model("resnet10t", num_classes=3).eval()
    for parameter in net.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.1)
    images, targets = torch.randn(2, 3, 32, 32), torch.tensor([0, 2])
    with create_flow("input_gradient", net) as flow:
        both = flow(images, targets)
        alone = flow(images[1:], targets[1:])
        named = flow(images=images[1:], targets=targets[1:])
    for flow_alone in (alone, named):
        torch.testing.assert_close(flow_alone.maps, both.maps[1:], rtol=1e-4, atol=1e-7)
        assert flow_alone.target.tolist() == [2]
        assert flow_alone.native[0].shape == (1, 32, 32)


def test_targets_of_another_length_are_named_as_they_are():
    net = timm.create_model("resnet10t", num_classes=3).eval()
    with create_flow("gradcam", net) as flow, pytest.raises(ValueError, match="1 integer"):
        flow(torch.zeros(1, 3, 32, 32), torch.tensor([0, 1]))

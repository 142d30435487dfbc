import pytest
import timm
import torch
from torch import nn

from pipeline.errors import UnsupportedModel
from pipeline.flows import create_flow
from pipeline.models.structure.alternatives import instead


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_the_advice_for_a_convolutional_network_works(name: str) -> None:
    model = timm.create_model(name, num_classes=3).eval()
    with pytest.raises(UnsupportedModel, match="naflow or gradcam"):
        create_flow("daam", model)
    for method in ("naflow", "gradcam"):
        with create_flow(method, model) as flow:
            assert flow(torch.randn(1, 3, 64, 64)).maps.shape[0] == 1


class Wrapper(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.encoder = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.encoder(x)


def test_a_wrapper_is_asked_for_what_it_holds() -> None:
    model = Wrapper(timm.create_model("test_vit", img_size=32, num_classes=3)).eval()
    with pytest.raises(UnsupportedModel, match=r"VisionTransformer, pass model\.encoder;"):
        create_flow("activation", model)
    create_flow("activation", model.encoder)


def test_a_transformer_of_another_library() -> None:
    foreign = nn.TransformerEncoderLayer(8, 2).eval()
    assert instead(foreign).endswith("or the timm version of the same model")

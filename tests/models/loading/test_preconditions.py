import pytest
import torch
from torch import nn

from pipeline.errors import UnsupportedModel
from pipeline.models import check_images, check_ready, unwrapped


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).eval()


def test_every_module_must_be_in_evaluation_mode() -> None:
    model = network()
    check_ready(model)
    model[1].train()
    with pytest.raises(UnsupportedModel, match=r"^1 is in training mode.*after its last change"):
        check_ready(model)
    with pytest.raises(UnsupportedModel, match=r"^Sequential is in training mode"):
        check_ready(model.train())


def test_wrappers_come_off_however_deep() -> None:
    model = network()
    assert unwrapped(nn.DataParallel(torch.compile(nn.DataParallel(model)))) is model
    assert unwrapped(model) is model


def test_what_hides_layers_is_refused() -> None:
    model = network()
    with pytest.raises(UnsupportedModel, match="TorchScript"):
        unwrapped(torch.jit.trace(model, torch.zeros(1, 3, 8, 8)))
    model.compile()
    with pytest.raises(UnsupportedModel, match=r"Sequential is compiled.*before torch\.compile"):
        check_ready(model)
    model = network()
    model[0] = torch.compile(model[0])
    with pytest.raises(UnsupportedModel, match="0 is compiled"):
        check_ready(model)


def test_parameters_must_be_usable() -> None:
    with torch.device("meta"):
        model = network()
    with pytest.raises(UnsupportedModel, match="have no values yet; load weights"):
        check_ready(model)
    with pytest.raises(UnsupportedModel, match="have no values yet"):
        check_ready(nn.LazyLinear(3).eval())
    with torch.inference_mode():
        model = network()
    with pytest.raises(UnsupportedModel, match=r"made under torch\.inference_mode"):
        check_ready(model)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (torch.zeros(3, 8, 8), r"\(3, 8, 8\) of torch.float32"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "normalised floats"),
        (torch.zeros(1, 3, 8, 8, device="meta"), "on cpu and the images on meta"),
        (torch.zeros(1, 3, 8, 8), r"weights are torch.bfloat16.*use model\.float"),
    ],
)
def test_images_that_do_not_fit_the_weights(images: torch.Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_images(network().bfloat16(), images)


def test_images_that_fit() -> None:
    check_images(network(), torch.zeros(1, 3, 8, 8))
    check_images(network().bfloat16(), torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16))
    with torch.autocast("cpu", torch.bfloat16):
        check_images(network(), torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16))

import captum.attr
import pytest
import timm
import torch
from pytorch_grad_cam.activations_and_gradients import ActivationsAndGradients
from pytorch_grad_cam.grad_cam import GradCAM
from pytorch_grad_cam.hirescam import HiResCAM
from pytorch_grad_cam.layer_cam import LayerCAM
from torch import nn
from torchvision.models import SwinTransformer

from pipeline.errors import UnsupportedModel
from pipeline.flows import create_flow
from tests.flows.cams import watched, weigh
from tests.flows.convolutional import build, images_for
from tests.flows.reference import photographs_like, small

METHODS = ("gradcam", "hirescam", "layercam")
PEERS = {"gradcam": GradCAM, "hirescam": HiResCAM, "layercam": LayerCAM}
# The other families are in the support matrix.
FAMILIES = ("AlexNet (plain torch)", "ResNet", "DenseNet", "MobileNetV3", "ConvNeXt")


def assert_same(found, wanted, tolerance=1e-5):
    assert found.shape == wanted.shape
    assert ((found - wanted).abs() <= tolerance * wanted.abs().max() + 1e-12).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_the_definitions_on_every_layer(family):
    model, images = build(family).double(), images_for(family, 3).double()
    results = {}
    for method in METHODS:
        with create_flow(method, model) as flow:
            results[method] = flow(images)
    first = results["gradcam"]
    seen = watched(model, images, first.target)
    checked = 0
    for place, layer in enumerate(first.layers):
        if layer not in seen or ":" in layer:
            continue
        activation, gradient = seen[layer]
        for method, result in results.items():
            native = result.native[place] if result.native else result.maps[:, place]
            if activation.shape[-2:] != native.shape[-2:]:
                continue  # the module goes on after its recorded operation
            for maps, a, g in zip(native, activation, gradient, strict=True):
                assert_same(maps, weigh(method, a.detach(), g))
            checked += 1
    assert checked >= 3 * 0.7 * len(first.layers)


@pytest.mark.parametrize("method", METHODS)
def test_equal_pytorch_grad_cam(method):
    model, images = build("ResNet"), images_for("ResNet", 2)
    with create_flow(method, model) as flow:
        result = flow(images)
    place = result.layers.index("layer2.0.act2")
    peer = PEERS[method](model, [model.layer2[0]])
    watcher = ActivationsAndGradients(model, [model.layer2[0]], None)
    score = watcher(images).gather(1, result.target[:, None]).sum()
    score.backward()
    activation, gradient = watcher.activations[0].numpy(), watcher.gradients[0].numpy()
    peer.uses_gradients = True
    wanted = peer.get_cam_image(images, model.layer2[0], [], activation, gradient, False)
    watcher.release()
    assert_same(result.native[place], torch.from_numpy(wanted).clamp(min=0))


def test_gradcam_equals_captum():
    model, images = build("MobileNetV2"), images_for("MobileNetV2", 2)
    with create_flow("gradcam", model) as flow:
        result = flow(images)
    place = result.layers.index("blocks.3.0.bn3")
    peer = captum.attr.LayerGradCam(model, model.blocks[3][0])
    wanted = peer.attribute(images, target=result.target, relu_attributions=True)[:, 0]
    assert_same(result.native[place], wanted.detach())


@pytest.mark.parametrize("method", METHODS)
def test_a_transformers_layers_are_what_its_attentions_read(method):
    model = small(reg_tokens=2).double()
    images = photographs_like(model, 2).double()
    with create_flow(method, model) as flow:
        result = flow(images)
    assert result.layers == ("blocks.0.norm1", "blocks.1.norm1", "blocks.2.norm1")
    assert result.maps.shape == (2, 3, 3, 5)
    assert result.native == ()
    assert result.maps.amax(dim=(2, 3)).gt(0).all()
    seen = watched(model, images, result.target)
    for place, layer in enumerate(result.layers):
        activation, gradient = seen[layer]
        for maps, tokens, slopes in zip(result.maps[:, place], activation, gradient, strict=True):
            a, g = (part[3:].T.reshape(-1, 3, 5).detach() for part in (tokens, slopes))
            assert_same(maps, weigh(method, a, g))


def swin():
    torch.manual_seed(0)
    return timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=(56, 112), embed_dim=12, depths=(1, 1, 1),
        num_heads=(1, 2, 2), num_classes=5,
    ).eval()  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_swins_channels_come_last(method):
    model, images = swin().double(), torch.randn(2, 3, 56, 112).double()
    with create_flow(method, model) as flow:
        result = flow(images)
    assert result.layers[-1] == "norm"
    assert result.maps.shape[2:] == (4, 7)
    assert {tuple(maps.shape[1:]) for maps in result.native} == {(14, 28), (7, 14), (4, 7)}
    activation, gradient = watched(model, images, result.target)["norm"]
    for maps, a, g in zip(result.native[-1], activation, gradient, strict=True):
        assert_same(maps, weigh(method, a.detach().permute(2, 0, 1), g.permute(2, 0, 1)))


@pytest.mark.parametrize("method", METHODS)
def test_an_image_does_not_depend_on_its_batch_mates(method):
    model, images = build("ResNet"), images_for("ResNet", 32)
    order = torch.randperm(32)
    with create_flow(method, model) as flow:
        together, shuffled = flow(images).maps, flow(images[order]).maps
        alone = torch.cat([flow(image[None]).maps for image in images[:4]])
    assert_same(shuffled, together[order])
    assert_same(alone, together[:4])


@pytest.mark.parametrize("method", METHODS)
def test_degenerate_inputs_stay_finite(method):
    model, images = build("ResNet"), images_for("ResNet", 2)
    with torch.no_grad():
        model.fc.weight[1] = 0
    with create_flow(method, model) as flow:
        nothing = flow(images, torch.tensor([1, 1])).maps
        cell, constant = flow(images[..., :8, :8]).maps, flow(torch.zeros_like(images)).maps
    assert torch.equal(nothing, torch.zeros_like(nothing))
    assert cell.isfinite().all()
    assert cell.shape[2:] == (1, 1)
    assert constant.isfinite().all()


def test_a_model_without_feature_maps_is_refused():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    with (
        create_flow("gradcam", model.eval()) as flow,
        pytest.raises(UnsupportedModel, match=r"no feature maps .* use input_gradient"),
    ):
        flow(torch.randn(2, 3, 2, 2))


def test_the_layers_of_torchvisions_swin_are_those_of_its_modules():
    """Shifted windows have a mask that is filled in place; maps are (B, h, w, C) up to the last."""
    torch.manual_seed(0)
    model = SwinTransformer([4, 4], 12, [2, 2], [2, 2], [4, 4], num_classes=5).eval().double()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)).double()
    with create_flow("gradcam", model) as flow:
        result = flow(images)
    seen = watched(model, images, result.target)
    named = [layer for layer in result.layers if layer in seen]
    assert {"features.1.0", "features.1.1", "features.3.0"} <= set(named), result.layers
    for layer in named:
        activations, gradients = (part.detach() for part in seen[layer])
        if layer != "permute":
            activations, gradients = (p.permute(0, 3, 1, 2) for p in (activations, gradients))
        found = result.native[result.layers.index(layer)]
        for maps, activation, gradient in zip(found, activations, gradients, strict=True):
            assert_same(maps, weigh("gradcam", activation, gradient))

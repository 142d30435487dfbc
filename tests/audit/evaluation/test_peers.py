"""Methods of other libraries, as evaluated: against ours where they are the same."""

import numpy as np
import pytest
import timm
import torch

from pipeline.audit.evaluation.peers import PEERS, check_peers, open_peer
from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.flows import create_flow

GRID = (4, 4)


def small_vit():
    torch.manual_seed(0)
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    return timm.create_model("vit_tiny_patch16_224", num_classes=5, **sizes).eval()


def small_resnet():
    torch.manual_seed(0)
    return timm.create_model("resnet10t", num_classes=5).eval()


def frozen(model):
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def vit():
    return frozen(small_vit())


@pytest.fixture(scope="module")
def batch():
    torch.manual_seed(1)
    return torch.randn(3, 3, 32, 32), torch.tensor([0, 4, 2])


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_explains_a_transformer_and_leaves_no_hook(name, vit, batch):
    with open_peer(name, vit, GRID) as explain:
        maps = explain(*batch)
    assert maps.shape == (3, 16)
    assert np.isfinite(maps).all()
    assert (maps >= 0).all()
    assert (maps.max(1) > 0).any()
    assert not any(module._forward_hooks for module in vit.modules())


@pytest.mark.parametrize("name", [name for name in PEERS if name.startswith("grad-cam")])
def test_grad_cam_reads_the_last_map_of_a_convolutional_network(name, batch):
    model = frozen(small_resnet())
    model.pretrained_cfg = {"input_size": (3, 64, 64)}
    images = torch.randn(2, 3, 64, 64)
    with open_peer(name, model, GRID) as explain:
        maps = explain(images, torch.tensor([1, 3]))
    assert maps.shape == (2, 16)
    assert (maps >= 0).all()


def test_captums_occlusion_is_ours(vit, batch):
    images, targets = batch
    with open_peer("captum/Occlusion", vit, GRID) as explain:
        found = explain(images, targets)
    with create_flow("occlusion", vit) as flow:
        wanted = flow(images, targets).maps.flatten(1).double().numpy()
    # captum gives the drop to every value of the patch that it hides: 3 channels of 8 × 8 pixels.
    np.testing.assert_allclose(found / (3 * 64), wanted, atol=1e-5)


def test_captums_saliency_is_our_input_gradient(vit, batch):
    images, targets = batch
    with open_peer("captum/Saliency", vit, GRID) as explain:
        found = explain(images, targets)
    gradient, images = [], images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(vit(images).gather(1, targets[:, None]).sum(), images)
    wanted = gradient.abs().sum(1).reshape(3, 4, 8, 4, 8).sum((2, 4)).flatten(1)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4)


def test_input_times_gradient_is_summed_with_its_sign_in_each_cell(vit, batch):
    images, targets = batch
    with open_peer("captum/InputXGradient", vit, GRID) as explain:
        found = explain(images, targets)
    images = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(vit(images).gather(1, targets[:, None]).sum(), images)
    product = (images * gradient).detach().sum(1).reshape(3, 4, 8, 4, 8).sum((2, 4))
    np.testing.assert_allclose(found, product.clamp(min=0).flatten(1).numpy(), atol=1e-6)


def test_what_does_not_exist_or_does_not_fit_is_refused_with_what_to_do(vit, monkeypatch):
    with pytest.raises(ConfigError, match="no peer 'captum/Salience'; use one of grad-cam/"):
        check_peers(("daam", "captum/Salience"))
    monkeypatch.setattr("pipeline.audit.evaluation.peers.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'flowatlas\[peers\]'"):
        check_peers(("captum/Saliency",))
    check_peers(("daam",))


def test_occlusion_needs_a_grid_that_divides_the_input(vit, batch):
    with (
        open_peer("captum/Occlusion", vit, (3, 5)) as explain,
        pytest.raises(UnsupportedModel, match="use occlusion"),
    ):
        explain(*batch)

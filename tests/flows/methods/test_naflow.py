import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.flows import create_flow
from tests.flows import similarity
from tests.flows.convolutional import AlexNet, alexnet, build, images_for
from tests.flows.inversion import ITERATIONS, chain, naflow, published

# The other families are in the support matrix.
FAMILIES = ("AlexNet (plain torch)", "VGG, batch norm", "ResNet", "DenseNet", "ConvNeXt")


def assert_same(found, wanted, tolerance):
    """Equal to a fraction of each map's maximum."""
    assert found.shape == wanted.shape
    scale = wanted.abs().amax(dim=(-2, -1), keepdim=True).clamp(min=1e-30)
    assert ((found - wanted).abs() <= tolerance * scale).all(), ((found - wanted) / scale).max()


def run(model, images, targets=None, **options):
    with create_flow("naflow", model, **options) as flow:
        return flow(images, targets)


def native(result):
    return result.native or tuple(result.maps.unbind(1))


@pytest.mark.parametrize("family", FAMILIES)
def test_inverse_equals_the_one_image_definition(family):
    model, images = build(family).double(), images_for(family, 2).double()
    result = run(model, images, iterations=ITERATIONS, tolerance=0.0)
    wanted = naflow(model, images[1])
    places = published(chain(model, images[1]))
    for place, maps in zip(places, native(result), strict=True):
        assert wanted[place].max() > 0, "a map of zeros proves nothing"
        assert_same(maps[1], wanted[place], 1e-6)


def test_the_layers_of_alexnet_are_its_inputs_of_convolutions_and_pools():
    result = run(alexnet().eval(), images_for("AlexNet (plain torch)", 1))
    names = [f"features.{index}" for index in (1, 2, 4, 5, 7, 9, 11, 12)]
    assert result.layers == tuple(names)
    assert [tuple(maps.shape[1:]) for maps in native(result)] == [
        (24, 24), (11, 11), (11, 11), (5, 5), (5, 5), (5, 5), (5, 5), (2, 2),
    ]  # fmt: skip
    assert result.maps.shape == (1, 8, 3, 3)
    assert result.extras["residual"].shape == (1, 8)


@pytest.mark.parametrize("family", ["AlexNet (plain torch)", "ResNet", "MobileNetV2", "DenseNet"])
def test_released_is_activation_times_gradient(family):
    model, images = build(family), images_for(family, 3)
    result = run(model, images, mode="released")
    kept = {}
    handles = [
        module.register_forward_hook(
            lambda m, a, out, name=name: kept.setdefault(name, []).append(out)
        )
        for name, module in model.named_modules()
        if name
    ]
    # An in-place activation would overwrite what a hook has seen.
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    logits = model(images)
    for handle in handles:
        handle.remove()
    score = logits.gather(1, result.target[:, None]).sum()
    checked = 0
    for layer, maps in zip(result.layers, native(result), strict=True):
        if layer not in kept:
            continue
        (activation,) = kept[layer]
        (gradient,) = torch.autograd.grad(score, activation, retain_graph=True)
        assert torch.equal(maps, F.relu(activation * gradient).sum(1))
        checked += 1
    assert checked >= 0.8 * len(result.layers)


@pytest.mark.parametrize("folded", [False, True])
def test_without_abandoning_the_trunk_gives_its_activations_back(folded):
    """All importances positive and every layer of full rank: BPFM = activation everywhere."""
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 6, 3, padding=1),
        nn.Conv2d(6, 14, 3, padding=1),
        nn.BatchNorm2d(14),
        nn.LeakyReLU(0.5),
        nn.Conv2d(14, 40, 3, padding=1),
    ]
    layers[2].running_var.uniform_(0.5, 2)
    layers[2].weight.data.uniform_(0.5, 2)
    model = nn.Module()
    model.features = nn.Sequential(*layers).eval()
    if folded:
        layers[1:3] = [nn.utils.fuse_conv_bn_eval(*model.features[1:3])]
        model.features = nn.Sequential(*layers)
    model.head = nn.Linear(40 * 36, 3)
    model.forward = lambda x: model.head(model.features(x).flatten(1))
    model.double().eval()
    images = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    inverted = run(model, images, iterations=600, tolerance=1e-10)
    released = run(model, images, mode="released")
    assert len(native(inverted)) == 3
    for found, wanted in zip(native(inverted), native(released), strict=True):
        assert_same(found, wanted, 1e-5)
    assert inverted.extras["residual"].max() < 1e-6


@pytest.mark.parametrize("options", [{}, {"mode": "released"}])
@pytest.mark.parametrize("family", ["ResNet", "AlexNet (plain torch)"])
def test_an_image_does_not_depend_on_its_batch_mates(family, options):
    model, images = build(family).double(), images_for(family, 32).double()
    order = torch.randperm(32, generator=torch.Generator().manual_seed(0))
    options = {**options, "iterations": 8}
    together = run(model, images, **options)
    shuffled = run(model, images[order], **options)
    alone = [run(model, image[None], **options).maps[0] for image in images[:3]]
    spoiled = images.clone()
    spoiled[1] = float("nan")
    beside_nan = run(model, spoiled, **options)
    assert_same(shuffled.maps, together.maps[order], 1e-5)
    assert_same(torch.stack(alone), together.maps[:3], 1e-5)
    rest = [0, *range(2, 32)]
    assert_same(beside_nan.maps[rest], together.maps[rest], 1e-5)
    assert beside_nan.maps[1].isnan().any()


def test_nothing_to_explain_gives_exact_zeros():
    model = build("ResNet")
    with torch.no_grad():
        model.fc.weight[2] = 0
    result = run(model, images_for("ResNet", 2), torch.tensor([2, 0]))
    assert torch.equal(result.maps[0], torch.zeros_like(result.maps[0]))
    assert result.maps[1].amax(dim=(1, 2)).gt(0).all()
    assert result.extras["residual"].isfinite().all()


@pytest.mark.parametrize("change", ["no weights", "constant weights", "constant image", "one cell"])
@pytest.mark.parametrize("family", ["ResNet", "MobileNetV3", "ConvNeXt"])
def test_degenerate_inputs_stay_finite(family, change):
    model, images = build(family), images_for(family, 2)
    if change == "constant image":
        images = torch.zeros_like(images)
    elif change == "one cell":
        size = 32 if family == "ConvNeXt" else 8  # it has no padding: 32 pixels make its one cell
        images = images[..., :size, :size]
    else:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(0.0 if change == "no weights" else 0.1)
    for mode in ("inverse", "released"):
        result = run(model, images, mode=mode, iterations=8)
        assert result.maps.isfinite().all()
        assert (result.maps >= 0).all()


def test_mass_stays_whatever_the_grid():
    model, images = build("ResNet"), images_for("ResNet", 2)
    for grid in (None, (1, 1), (3, 5)):
        result = run(model, images, grid=grid, iterations=3)
        assert result.maps.shape[-2:] == (grid or (2, 2))
        for found, own in zip(result.maps.unbind(1), native(result), strict=True):
            torch.testing.assert_close(found.sum((1, 2)), own.sum((1, 2)))


def test_what_it_does_not_know_is_refused():
    with pytest.raises(ConfigError, match="no mode 'exact'; use inverse or released"):
        create_flow("naflow", build("ResNet"), mode="exact")
    import timm

    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1).eval()
    with pytest.raises(UnsupportedModel, match="is a transformer; use daam"):
        create_flow("naflow", vit)
    headless = timm.create_model("resnet10t", num_classes=0).eval()
    with (
        create_flow("naflow", headless) as flow,
        pytest.raises(UnsupportedModel, match=r"no classifier.* or give references"),
    ):
        flow(torch.randn(1, 3, 32, 32))
    with pytest.raises(ConfigError, match="references and reference_labels together"):
        create_flow("naflow", headless, references=torch.randn(3, 512))
    swin = timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=56, embed_dim=24, depths=(1, 1), num_heads=(1, 1)
    ).eval()
    with (
        create_flow("naflow", swin) as flow,
        pytest.raises(UnsupportedModel, match="use gradcam"),
    ):
        flow(torch.randn(1, 3, 56, 56))


def test_the_model_is_left_as_it_was():
    model, images = build("AlexNet (plain torch)"), images_for("AlexNet (plain torch)", 1)
    flow = create_flow("naflow", model)
    with flow:
        flow(images)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.features[1].inplace is True
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(ValueError, match="inside its context"):
        flow(images)


def test_inception_splits_at_its_concatenations():
    model, images = build("Inception"), images_for("Inception", 1)
    result = run(model, images, iterations=2)
    assert result.layers[-1] == "Mixed_7c"
    assert result.maps.isfinite().all()
    assert result.maps.amax(dim=(2, 3)).gt(0).all()
    assert result.extras["residual"].amin() >= 0
    assert result.extras["residual"].amax() <= 1


@pytest.mark.parametrize("by", ["prototypes", "neighbours"])
def test_similarity_starts_from_the_weights_of_the_embedding(by):
    model = build("ResNet").double()
    model.reset_classifier(0)
    images = images_for("ResNet", 2).double()
    references = torch.randn(9, 16, dtype=torch.float64).abs()
    labels = torch.arange(9) % 3
    result = run(
        model, images, references=references, reference_labels=labels, by=by, k=4,
        iterations=ITERATIONS, tolerance=0.0,
    )  # fmt: skip
    with torch.no_grad():
        embedding = model(images)[1]
    parts, target = similarity.explained(embedding, references, labels, by, k=4)
    weights = similarity.weights_of(parts)
    assert result.target[1] == target
    assert result.logits.shape == (2, 3)
    wanted = naflow(model, images[1], score=lambda f: (model.forward_head(f) * weights).sum())
    assert_same(native(result)[-1][1], wanted[max(wanted)], 1e-5)
    # The input of the last stage lies two points (block and its activation) further back.
    assert_same(native(result)[-2][1], wanted[max(wanted) - 2], 1e-5)


MEMORY = """
import torch
from pipeline.engine.usage.peak_memory import peak_resident
from pipeline.flows import create_flow
from tests.flows import similarity
from tests.flows.convolutional import AlexNet
torch.manual_seed(0)
model = AlexNet().eval()
with create_flow("naflow", model, iterations=5) as flow:
    maps = flow(torch.randn(1, 3, 224, 224)).maps
assert maps.shape == (1, 8, 14, 14) and maps.isfinite().all()
print(peak_resident())
"""


@pytest.mark.slow
def test_alexnet_at_224_pixels_fits_into_two_gibibytes():
    assert AlexNet().features[3].out_channels == 192  # the original's widths
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=300
    )
    assert int(done.stdout) < 2 * 2**30


class Hybrid(nn.Module):
    """A convolution, attention over its cells, and a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 8, 3, padding=1)
        self.qkv, self.head = nn.Linear(8, 24), nn.Linear(8, 3)
        self.fused = True

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        grid = self.first(images)
        q, k, v = self.qkv(grid.flatten(2).mT).chunk(3, dim=2)
        if self.fused:
            mixed = torch.nn.functional.scaled_dot_product_attention(
                q[:, None], k[:, None], v[:, None]
            )[:, 0]
        else:
            mixed = (q @ k.mT / 8**0.5).softmax(dim=2) @ v
        return self.head(self.last(grid + mixed.mT.reshape(grid.shape)).mean((2, 3)))


@pytest.mark.parametrize("inference", [False, True])
def test_attention_between_convolutions_is_inverted_fused_or_not(inference):
    torch.manual_seed(0)
    model, images = Hybrid().eval(), torch.randn(2, 3, 16, 16)
    with torch.inference_mode(inference), create_flow("naflow", model, iterations=4) as flow:
        fused = flow(images)
        model.fused = False
        plain = flow(images)
    assert fused.maps.shape[1] == 2
    torch.testing.assert_close(fused.maps, plain.maps, rtol=1e-4, atol=1e-5)

"""What every method that reads a transformer's attentions keeps, whatever it computes."""

import pytest
import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pipeline.errors import UnsupportedModel
from pipeline.flows import create_flow, recording
from pipeline.models import embed, recorded_embeddings
from tests.flows.precision import rank_correlation
from tests.flows.reference import photographs_like, small

METHODS = ["daam", "daam with a bank", "attention", "rollout", "relevance"]
READOUTS = {"token": {}, "avg": {"global_pool": "avg", "reg_tokens": 1}}


def bind(method, model, images=None):
    """The method, its bank of random features or of features near those of images."""
    if method != "daam with a bank":
        return create_flow(method, model)
    generator = torch.Generator().manual_seed(3)
    if images is None:
        members = torch.randn(60, model.num_features, generator=generator)
        return create_flow("daam", model, bank=members, bank_labels=torch.arange(60) % 3)
    with torch.no_grad():
        near = embed(model, images).repeat(20, 1)
    noise = torch.randn(near.shape, generator=generator) * near.std() / 4
    labels = torch.arange(len(near)) % len(images)
    return create_flow("daam", model, bank=near + noise, bank_labels=labels)


def close(found, wanted, tolerance=1e-5):
    scale = wanted.flatten(-2).amax(dim=-1)[..., None, None]
    return ((found - wanted).abs() <= tolerance * scale).all()


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("method", METHODS)
def test_an_image_does_not_depend_on_its_batch_mates(method, readout):
    model = small(**READOUTS[readout])
    images = photographs_like(model, 32)
    order = torch.randperm(32)
    spoiled = images.clone()
    spoiled[1] = float("nan")
    with bind(method, model) as flow:
        beside_nan = flow(spoiled)
        together, shuffled = flow(images), flow(images[order])
        alone = torch.cat([flow(image[None]).maps for image in images[:4]])
    others = [0, *range(2, 32)]
    tolerance = 1e-4 if method == "daam with a bank" else 1e-5
    assert close(shuffled.maps, together.maps[order], tolerance)
    assert close(alone, together.maps[:4], tolerance)
    assert close(beside_nan.maps[others], together.maps[others], tolerance)
    assert beside_nan.maps[1].isnan().any()  # so the engine sees that it is not finite


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("method", METHODS)
def test_small_slabs_change_nothing(method, readout, monkeypatch):
    model = small(**READOUTS[readout])
    images = photographs_like(model, 3)
    with bind(method, model) as flow:
        wanted = flow(images)
        for slab in (3 * 3 * 17 * 2, 3 * 3 * 17 * 9, 3 * 17 * 17 * 2):  # rows, rows, images
            monkeypatch.setattr(recording, "SLAB", slab)
            assert close(flow(images).maps, wanted.maps)


def test_no_slab_is_larger_than_allowed(monkeypatch):
    model = small(global_pool="avg", img_size=(64, 64))
    monkeypatch.setattr(recording, "SLAB", 2000)
    sizes, rows = [], recording.Attention.rows
    monkeypatch.setattr(
        recording.Attention, "rows", lambda *args: sizes.append(rows(*args)) or sizes[-1]
    )
    with create_flow("daam", model) as flow:
        flow(photographs_like(model, 2))
    assert max(size.numel() for size in sizes) <= 2000
    assert len(sizes) > 3 * 64 * 65 * 6 / 2000


@pytest.mark.parametrize("method", METHODS)
def test_one_patch_is_a_map(method):
    model = small(img_size=(8, 8))
    with bind(method, model) as flow:
        result = flow(photographs_like(model, 2))
    assert result.maps.shape == (2, 3, 1, 1)
    assert result.maps.isfinite().all()


@pytest.mark.parametrize("value", [0.0, 0.1])
@pytest.mark.parametrize("method", METHODS)
def test_constant_weights_are_finite(method, value):
    model = small()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    with bind(method, model) as flow:
        result = flow(photographs_like(model, 2))
    assert result.maps.isfinite().all()
    assert (result.maps >= 0).all()
    assert result.logits.isfinite().all()


@pytest.mark.parametrize("method", ["daam", "relevance"])
def test_no_gradient_gives_exact_zeros(method):
    model = small()
    with torch.no_grad():
        model.head.weight[2] = 0
    with bind(method, model) as flow:
        result = flow(photographs_like(model, 2), torch.tensor([2, 0]))
    assert torch.equal(result.maps[0], torch.zeros(3, 3, 5))
    assert result.maps[1].amax(dim=(1, 2)).gt(0).all()


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_float32_without_graph_for_any_caller(method):
    model = small()
    images = photographs_like(model, 2)
    with bind(method, model) as flow:
        wanted = flow(images.clone().requires_grad_())
        with torch.inference_mode():
            found = flow(images.clone())
    assert torch.equal(found.maps, wanted.maps)
    assert wanted.maps.dtype == wanted.logits.dtype == torch.float32
    assert (wanted.maps >= 0).all()
    for tensor in (wanted.maps, wanted.logits, *wanted.extras.values()):
        assert not tensor.requires_grad
    with pytest.raises(ValueError, match="inside its context"):
        flow(images)


@pytest.mark.parametrize("method", METHODS)
def test_targets_are_checked(method):
    model = small()
    with bind(method, model) as flow, pytest.raises(ValueError, match="targets must be"):
        flow(photographs_like(model, 2), torch.tensor([0, 7]))


@pytest.mark.parametrize("method", METHODS)
def test_a_float64_model_gives_the_float32_maps(method):
    model = small()
    images = photographs_like(model, 2)
    with bind(method, model) as flow:
        single = flow(images)
    with bind(method, model.double()) as flow:
        double = flow(images.double())
    assert double.maps.dtype == torch.float32
    assert close(single.maps, double.maps, 1e-4 if method == "daam with a bank" else 1e-5)


def test_embeddings_can_be_recorded_on_the_way():
    """A second pass through the head, without gradients, is none of the method's business."""
    model = small(global_pool="map")
    images = photographs_like(model, 2)
    with create_flow("daam", model) as flow:
        wanted = flow(images)
        with recorded_embeddings(model) as embeddings:
            found = flow(images)
    assert torch.equal(found.maps, wanted.maps)
    assert embeddings.last.shape == (2, 24)


class Tampering(TorchFunctionMode):
    """An attention that does not do what its queries and keys say."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        return 1.01 * output if func is F.scaled_dot_product_attention else output


@pytest.mark.parametrize("method", METHODS)
def test_the_first_batch_shows_an_attention_that_is_no_weighted_sum(method):
    model = small(global_pool="avg")
    with (
        Tampering(),
        bind(method, model) as flow,
        pytest.raises(UnsupportedModel, match="differently from the softmax of its"),
    ):
        flow(photographs_like(model, 1))


@pytest.mark.parametrize("method", ["daam", "daam with a bank", "relevance"])
def test_the_first_batch_shows_a_classifier_that_reads_other_tokens(method):
    model = small()
    model.pool = lambda tokens, pool_type=None: tokens[:, 1]
    with (
        bind(method, model) as flow,
        pytest.raises(UnsupportedModel, match="reads tokens other than its readout tokens"),
    ):
        flow(photographs_like(model, 1))


@pytest.mark.parametrize("method", METHODS)
def test_keys_that_are_not_the_patches_are_refused(method):
    model = small()
    model.norm_pre.register_forward_hook(lambda module, inputs, tokens: tokens[:, :-2])
    with (
        bind(method, model) as flow,
        pytest.raises(UnsupportedModel, match=r"14 tokens in blocks.0 where its image has 3 × 5"),
    ):
        flow(photographs_like(model, 1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("method", METHODS)
def test_half_precision_works_for_small_models(method, readout, dtype):
    model = small(**READOUTS[readout])
    images = photographs_like(model, 4)
    with bind(method, model, images) as flow:
        wanted = flow(images)
        with torch.autocast("cpu", dtype=dtype):
            found = flow(images, wanted.target)
    assert rank_correlation(found.maps, wanted.maps).mean() > 0.95

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.flows import create_flow
from pipeline.models import LoadedModel
from pipeline.models.outputs.class_head import with_outputs
from tests.flows.projecting import projection
from tests.flows.reference import photographs_like, small


@pytest.mark.parametrize("pool", ["token", "avg"])
@pytest.mark.parametrize("target", [None, 2])
def test_equals_the_models_own_head_on_one_token_at_a_time(pool, target):
    model = small(global_pool=pool, reg_tokens=2)
    images = photographs_like(model, 3)
    targets = None if target is None else torch.full((3,), target)
    with create_flow("projection", model) as flow:
        result = flow(images, targets)
    for index, image in enumerate(images):
        for layer, wanted in enumerate(projection(model, image, target)):
            assert torch.allclose(result.maps[index, layer].flatten(), wanted.float(), atol=1e-6)
            mean = float(result.extras["patch_rank"][index, layer])
            assert mean == pytest.approx(float(wanted.double().mean()), abs=1e-6)


def test_the_readout_of_the_last_block_ranks_as_the_model_does():
    model = small()
    images = photographs_like(model, 4)
    with create_flow("projection", model) as flow:
        for target in range(5):
            result = flow(images, torch.full((4,), target))
            rank = (result.logits > result.logits[:, [target]]).sum(1)
            assert torch.allclose(result.extras["readout_rank"][:, -1], 1 - rank / 5)


def test_the_predicted_class_is_first_at_the_end():
    model = small(global_pool="avg", class_token=False)
    with create_flow("projection", model) as flow:
        result = flow(photographs_like(model, 4))
    assert (result.extras["readout_rank"][:, -1] == 1).all()
    assert result.maps.max() <= 1
    assert result.maps.min() > 0


@given(st.integers(0, 1000))
def test_over_all_classes_identifiability_has_one_mean(seed):
    """The ranks of C classes at a patch are 0 … C − 1, whatever the logits."""
    model = small(depth=2)
    image = photographs_like(model, 1, seed=seed)
    with create_flow("projection", model) as flow:
        maps = [flow(image, torch.tensor([target])).maps for target in range(5)]
    mean = torch.stack(maps).mean(0)
    assert torch.allclose(mean, torch.full_like(mean, 1 - 2 / 5))


def test_logits_are_those_of_the_tokens_cut_at_zero():
    model = small(depth=2)
    images = photographs_like(model, 2)
    with create_flow("projection", model, value="logit") as flow:
        maps = flow(images).maps
    tokens = model.forward_intermediates(images, output_fmt="NLC", norm=True)[1]
    target = model(images).argmax(1)
    logits = model.head(tokens[-1]).gather(2, target[:, None, None].expand(-1, 15, 1))[..., 0]
    assert torch.allclose(maps[:, -1].flatten(1), logits.relu(), atol=1e-5)


def test_what_does_not_classify_single_tokens_is_refused():
    for name, options in (
        ("vit_base_patch16_siglip_224", {}),
        ("cait_xxs24_224", {}),
        ("vit_tiny_patch16_224", {"global_pool": "max"}),
    ):
        with pytest.raises(UnsupportedModel, match=r"use flow\.method daam or attention"):
            create_flow("projection", small(name, **options))
    with pytest.raises(UnsupportedModel, match="has no classifier"):
        create_flow("projection", small(num_classes=0))
    with pytest.raises(ConfigError, match="rank or logit"):
        create_flow("projection", small(), value="odds")


def test_a_head_that_compares_with_classes_compares_every_patch(tmp_path):
    model = small(depth=2)
    np.save(tmp_path / "classes.npy", np.random.default_rng(0).normal(size=(4, 5)))
    loaded = LoadedModel(model, "", 5, {})
    model = with_outputs(loaded, "vit", class_embeddings=str(tmp_path / "classes.npy")).model
    image = photographs_like(model, 1)
    with create_flow("projection", model) as flow:
        result = flow(image)
    assert result.logits.shape == (1, 4)
    for found, wanted in zip(result.maps[0], projection(model, image[0]), strict=True):
        assert torch.allclose(found.flatten(), wanted.float(), atol=1e-6)

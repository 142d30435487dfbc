from dataclasses import replace

import pytest
import timm
import torch
from safetensors.torch import save_file

from pipeline.errors import ConfigError
from pipeline.synthetic.finetune import FineTuning, SplitModel, cached_tokens, fine_tune


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> FineTuning:
    """A small transformer as if pretrained, at another size of image."""
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", img_size=64)
    weights = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    save_file(model.state_dict(), weights)
    return FineTuning(str(weights), size=48, trained_blocks=1, epochs=3, learning_rate=1e-3)


def test_the_two_parts_are_the_model(recipe):
    split = SplitModel(recipe, 4)
    pixels = torch.randint(0, 256, (3, 3, 48, 48), dtype=torch.uint8)
    with torch.no_grad():
        whole = split.model((pixels.float() / 255 - 0.5) / 0.5)
        parts = split.finish(split.tokens(pixels))
    assert split.tokens(pixels).shape == (3, 10, 192)
    torch.testing.assert_close(parts, whole, atol=2e-3, rtol=2e-3)


def test_a_training_learns_repeats_itself_and_leaves_frozen_weights(recipe):
    labels = torch.arange(40) % 2
    pixels = torch.randint(0, 256, (40, 3, 48, 48), dtype=torch.uint8)
    pixels[labels == 1, 0] //= 4
    models = []
    for _ in range(2):
        split = SplitModel(recipe, 2)
        before = split.model.blocks[0].attn.qkv.weight.clone()
        tokens, losses = split.tokens(pixels), []
        fine_tune(split, tokens, labels, recipe, lambda epoch, told=losses: told.append(epoch.loss))
        assert torch.equal(before, split.model.blocks[0].attn.qkv.weight)
        models.append(split.model.state_dict())
    assert losses[-1] < losses[0]
    assert (split.predict(tokens) == labels).float().mean() > 0.9
    assert all(torch.equal(models[0][key], models[1][key]) for key in models[0])


def test_tokens_are_kept_for_the_same_images_and_blocks(recipe, tmp_path):
    pixels = torch.randint(0, 256, (2, 3, 48, 48), dtype=torch.uint8)
    split = SplitModel(recipe, 2)
    tokens = cached_tokens(split, recipe, pixels, tmp_path)
    assert torch.equal(tokens, cached_tokens(SplitModel(recipe, 5), recipe, pixels, tmp_path))
    assert len(list(tmp_path.iterdir())) == 1
    other = replace(recipe, trained_blocks=2)
    cached_tokens(SplitModel(other, 2), other, pixels, tmp_path)
    cached_tokens(split, recipe, pixels + 1, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_other_models_and_weights_are_refused(recipe):
    with pytest.raises(ConfigError, match="no plain vision transformer"):
        SplitModel(replace(recipe, model="resnet10t", size=None), 2)
    with pytest.raises(ConfigError, match="1 to 12"):
        SplitModel(replace(recipe, trained_blocks=13), 2)
    with pytest.raises(ConfigError, match="does not hold the weights"):
        SplitModel(replace(recipe, model="vit_small_patch32_224"), 2)

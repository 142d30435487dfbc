import hashlib
import os

import pytest
import timm
import torch
from safetensors.torch import save_file

from pipeline.errors import ConfigError
from pipeline.models import load_model
from pipeline.models.loading.load import tensors_sha256

NAME = "vit_tiny_patch16_224"
SMALL = {"img_size": (32, 48), "embed_dim": 24, "depth": 2, "num_heads": 3}


def build(**options):
    torch.manual_seed(0)
    return timm.create_model(NAME, **{**SMALL, "num_classes": 7, **options})


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "vit.safetensors"
    save_file(build().state_dict(), path)
    return path


def test_a_safetensors_file_says_how_many_classes_there_are(weights):
    loaded = load_model(NAME, str(weights), SMALL)
    assert loaded.num_classes == loaded.model.num_classes == 7
    assert loaded.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    for key, tensor in build().state_dict().items():
        assert torch.equal(loaded.model.state_dict()[key], tensor)


def test_the_input_is_plain_and_knows_the_size_option(weights):
    found = load_model(NAME, str(weights), SMALL).input
    assert found == {
        "size": [32, 48],
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "interpolation": "bicubic",
        "crop_pct": 0.9,
        "crop_mode": "center",
    }


def test_a_file_without_a_head_is_an_encoder(tmp_path):
    path = tmp_path / "encoder.safetensors"
    save_file(build(num_classes=0).state_dict(), path)
    assert load_model(NAME, str(path), SMALL).num_classes == 0


def test_distilled_heads_are_counted_once(tmp_path):
    name = "deit_tiny_distilled_patch16_224"
    path = tmp_path / "deit.safetensors"
    save_file(timm.create_model(name, num_classes=4, **SMALL).state_dict(), path)
    assert load_model(name, str(path), SMALL).num_classes == 4


def test_a_convolutional_network_loads_too(tmp_path):
    options = {"pad_type": "same"}
    path = tmp_path / "mobilenet.safetensors"
    model = timm.create_model("mobilenetv2_035", num_classes=3, **options).eval()
    save_file(model.state_dict(), path)
    loaded = load_model("mobilenetv2_035", str(path), options)
    assert loaded.num_classes == 3
    assert loaded.input["size"] == [224, 224]
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(loaded.model(images), model(images))


def test_position_embeddings_are_resampled_to_another_size(tmp_path):
    path = tmp_path / "square.safetensors"
    save_file(build(img_size=64).state_dict(), path)
    loaded = load_model(NAME, str(path), SMALL)
    assert loaded.model.pos_embed.shape == (1, 7, 24)
    assert loaded.input["size"] == [32, 48]
    assert loaded.num_classes == 7


@pytest.mark.parametrize("nest", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"model": s}])
def test_pickled_tensors(tmp_path, nest):
    path = tmp_path / "vit.pth"
    torch.save(nest(build().state_dict()), path)
    loaded = load_model(NAME, str(path), SMALL)
    assert torch.equal(loaded.model.head.weight, build().head.weight)
    assert loaded.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


class Bomb:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_with_code_is_refused_and_does_not_run(tmp_path):
    path, victim = tmp_path / "evil.pth", tmp_path / "victim"
    torch.save({"state_dict": Bomb(victim)}, path)
    with pytest.raises(ConfigError, match=r"plain tensors.*convert it to \.safetensors"):
        load_model(NAME, str(path), SMALL)
    assert not victim.exists()


@pytest.mark.parametrize("name", ["junk.safetensors", "junk.pth", "empty.safetensors", "empty.pth"])
def test_junk_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"" if "empty" in name else b"not weights at all" * 10)
    with pytest.raises(ConfigError, match="plain tensors"):
        load_model(NAME, str(path), SMALL)


def test_a_pickle_of_something_else_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "x.pth")
    with pytest.raises(ConfigError, match="no dictionary of tensors"):
        load_model(NAME, str(tmp_path / "x.pth"), SMALL)


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="there is no file"):
        load_model(NAME, str(tmp_path / "none.safetensors"))


def test_keys_and_shapes_that_do_not_fit_are_named(tmp_path):
    state = build().state_dict()
    del state["blocks.1.norm2.bias"]
    state["extra"] = torch.zeros(1)
    state["norm.weight"] = torch.zeros(3)
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(ConfigError) as caught:
        load_model(NAME, str(tmp_path / "x.safetensors"), SMALL)
    for part in ("missing blocks.1.norm2.bias", "unexpected extra", "another shape norm.weight"):
        assert part in str(caught.value)


def test_an_explicit_number_of_classes_must_fit_the_file(weights):
    with pytest.raises(ConfigError, match=r"another shape head\.bias, head\.weight"):
        load_model(NAME, str(weights), SMALL, num_classes=3)


def test_an_unknown_name_names_close_ones():
    with pytest.raises(ConfigError, match=r"did you mean vit_tiny_patch16_224"):
        load_model("vit_tinny_patch16_224")
    with pytest.raises(ConfigError, match=r"see timm\.list_models"):
        load_model("zzz")


def test_options_are_checked(weights):
    with pytest.raises(ConfigError, match=r"check model\.options"):
        load_model(NAME, str(weights), {**SMALL, "no_such_option": 1})
    with pytest.raises(ConfigError, match=r"pretrained is set by model\.weights"):
        load_model(NAME, str(weights), {**SMALL, "pretrained": True})


def test_hub_weights_that_do_not_exist_say_what_to_do():
    with pytest.raises(ConfigError, match=r"give model\.weights a local \.safetensors file"):
        load_model("test_vit.no_such_tag")


def test_the_hash_of_tensors_sees_everything_but_their_order():
    state = {
        "a": torch.arange(4.0),
        "b": torch.tensor(3),
        "c": torch.zeros(2, dtype=torch.bfloat16),
    }
    wanted = tensors_sha256(state)
    assert tensors_sha256(dict(reversed(state.items()))) == wanted
    for change in (
        {"a": torch.arange(4.0) + 1e-7},
        {"a": torch.arange(4.0).view(2, 2)},
        {"a": torch.arange(4.0).view(torch.int32)},
        {"b": torch.tensor(4)},
        {"d": torch.zeros(0)},
    ):
        assert tensors_sha256({**state, **change}) != wanted


@pytest.mark.photographs
def test_real_weights(photographs):
    loaded = load_model(NAME, str(photographs / f"weights/{NAME}.safetensors"))
    assert loaded.num_classes == 1000
    assert loaded.input["size"] == [224, 224]


@pytest.mark.parametrize("name", [NAME, "deit_tiny_distilled_patch16_224"])
def test_a_files_classifier_can_be_left_out(tmp_path, name):
    whole = timm.create_model(name, num_classes=4, **SMALL).eval()
    save_file(whole.state_dict(), tmp_path / "whole.safetensors")
    options = {**SMALL, "num_classes": 0}
    loaded = load_model(name, str(tmp_path / "whole.safetensors"), options)
    assert loaded.num_classes == 0
    images = torch.randn(2, 3, 32, 48)
    with torch.no_grad():
        expected = whole.forward_head(whole.forward_features(images), pre_logits=True)
        torch.testing.assert_close(loaded.model(images), expected)

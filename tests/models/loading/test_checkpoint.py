import argparse
import hashlib
import os
import pathlib

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from pipeline.errors import ConfigError
from pipeline.models import load_model
from pipeline.models.loading.checkpoint import read_checkpoint

NAME, OPTIONS = "test_vit", {"img_size": 32, "num_classes": 7}
KEY = "blocks.0.attn.qkv.weight"


@pytest.fixture(scope="module")
def raw():
    torch.manual_seed(0)
    return timm.create_model(NAME, **OPTIONS).state_dict()


@pytest.fixture(scope="module")
def averaged(raw):
    return {key: tensor + 1 for key, tensor in raw.items()}


def loaded(path, **more):
    return load_model(NAME, str(path), {"img_size": 32}, **more)


def under(prefix, state):
    return {prefix + key: tensor for key, tensor in state.items()}


@pytest.mark.parametrize(
    ("content", "is_averaged"),
    [
        (lambda raw, ema: {"epoch": 3, "state_dict": raw, "state_dict_ema": ema}, True),
        (lambda raw, ema: {"model": raw, "model_ema": ema, "optimizer": {"state": {}}}, True),
        (lambda raw, ema: {"model_ema": ema}, True),
        (lambda raw, ema: {"model": {"state_dict": raw}}, False),
        (lambda raw, ema: {"state_dict": raw, "state_dict_ema": None}, False),
        (lambda raw, ema: {"net": raw, "loss": 0.5}, False),
        (lambda raw, ema: {"student": raw}, False),
        (lambda raw, ema: under("module.", raw), False),
        (lambda raw, ema: under("_orig_mod.module.", raw), False),
        (lambda raw, ema: {**under("module.", ema), "n_averaged": torch.tensor(2)}, True),
        (lambda raw, ema: {"state_dict": under("model.", raw), "hyper_parameters": {}}, False),
        (lambda raw, ema: {"state_dict": under("net.0.", raw) | {"loss.w": torch.ones(3)}}, False),
        (lambda raw, ema: {"state_dict": under("model.", raw) | under("ema_model.", ema)}, True),
    ],
)
def test_the_weights_that_are_evaluated(tmp_path, raw, averaged, content, is_averaged):
    torch.save(content(raw, averaged), tmp_path / "x.pth")
    found = loaded(tmp_path / "x.pth")
    assert found.num_classes == 7
    assert torch.equal(found.model.state_dict()[KEY], (averaged if is_averaged else raw)[KEY])


def test_a_choice_is_said_and_part_of_the_identity(tmp_path, raw, averaged):
    path = tmp_path / "x.pth.tar"
    torch.save({"state_dict": raw, "state_dict_ema": averaged}, path)
    by_default, chosen = loaded(path), loaded(path, weights_key="state_dict")
    assert by_default.notes == (
        "EMA weights (state_dict_ema) of x.pth.tar, not state_dict; "
        "model.weights_key chooses others",
    )
    assert torch.equal(chosen.model.state_dict()[KEY], raw[KEY])
    assert chosen.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert by_default.weights_sha256 != chosen.weights_sha256
    with pytest.raises(ConfigError, match="holds no 'model'; it has state_dict, state_dict_ema"):
        loaded(path, weights_key="model")


def test_a_plain_file_needs_no_word(tmp_path, raw):
    save_file(raw, tmp_path / "x.safetensors")
    assert not loaded(tmp_path / "x.safetensors").notes
    with pytest.raises(ConfigError, match="contains only weights"):
        loaded(tmp_path / "x.safetensors", weights_key="model")


def test_what_is_left_out_of_a_trainers_module_is_counted(tmp_path, raw):
    torch.save({"state_dict": under("model.", raw) | {"loss.w": torch.ones(3)}}, tmp_path / "x.pt")
    assert loaded(tmp_path / "x.pt").notes == (
        "weights under model.* of x.pt, 1 other tensors left out",
    )


def test_an_unclear_choice_is_refused(tmp_path, raw, averaged):
    torch.save({"student": raw, "teacher": averaged}, tmp_path / "x.pth")
    with pytest.raises(ConfigError, match=r"\(student, teacher\); choose one with"):
        loaded(tmp_path / "x.pth")
    found = loaded(tmp_path / "x.pth", weights_key="teacher")
    assert torch.equal(found.model.state_dict()[KEY], averaged[KEY])
    torch.save({"state_dict": under("a.", raw) | under("b.", averaged)}, tmp_path / "y.pth")
    with pytest.raises(ConfigError, match=r"under a\., b\.; save the ones you want"):
        loaded(tmp_path / "y.pth")


def test_settings_beside_the_tensors_are_read_safely(tmp_path, raw):
    settings = argparse.Namespace(lr=1e-3, output=pathlib.Path("out"), best=np.float64(0.8))
    torch.save({"state_dict": raw, "args": settings, "metric": np.float32(1)}, tmp_path / "x.pth")
    assert torch.equal(loaded(tmp_path / "x.pth").model.state_dict()[KEY], raw[KEY])


class Trap:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_beside_the_tensors_does_not_run(tmp_path, raw):
    torch.save({"state_dict": raw, "args": Trap(tmp_path / "victim")}, tmp_path / "x.pth")
    with pytest.raises(ConfigError, match=r"a posix\.mkdir object, which would run code") as caught:
        loaded(tmp_path / "x.pth")
    assert "\x1b" not in str(caught.value)
    assert not (tmp_path / "victim").exists()


def test_a_pickled_model_is_named(tmp_path):
    torch.save(timm.create_model(NAME, **OPTIONS), tmp_path / "x.pth")
    with pytest.raises(ConfigError, match=r"a timm\.\S+VisionTransformer object.*state_dict"):
        read_checkpoint(tmp_path / "x.pth")

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import ConfigError
from pipeline.models.outputs.class_embeddings import read_class_embeddings


def test_a_plain_array_has_the_scale_of_clip(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.eye(2, 3, dtype=np.float64))
    found = read_class_embeddings(tmp_path / "x.npy")
    assert torch.equal(found.embeddings, torch.eye(2, 3))
    assert (found.scale, found.bias, found.classes, found.assumed) == (100, 0, (), True)


def test_scale_and_bias_as_siglip_holds_them(tmp_path) -> None:
    tensors = {
        "embeddings": torch.randn(2, 3),
        "logit_scale": torch.tensor(10.0).log(),
        "logit_bias": torch.tensor([-12.5]),
    }
    names = {"classes": json.dumps(["a cat", "a dog"])}
    save_file(tensors, tmp_path / "x.safetensors", names)
    found = read_class_embeddings(tmp_path / "x.safetensors")
    assert found.scale == pytest.approx(10)
    assert (found.bias, found.classes, found.assumed) == (-12.5, ("a cat", "a dog"), False)


@pytest.mark.parametrize(
    ("tensors", "names", "said"),
    [
        ({"other": torch.ones(2, 3)}, None, "must hold a float tensor"),
        ({"embeddings": torch.ones(3)}, None, "must hold a float tensor"),
        ({"embeddings": torch.ones(1, 3)}, None, "at least two classes"),
        ({"embeddings": torch.eye(2, 3)}, ["one"], "2 embeddings but names 1"),
        ({"embeddings": torch.tensor([[1.0, 0], [0, 0]])}, None, "zero or not finite"),
        ({"embeddings": torch.tensor([[1.0, 0], [0, torch.nan]])}, None, "zero or not finite"),
        ({"embeddings": torch.eye(2), "scale": torch.tensor(-1.0)}, None, "must be positive"),
        ({"embeddings": torch.eye(2), "scale": torch.ones(2)}, None, "one number as scale"),
        (
            {"embeddings": torch.eye(2), "scale": torch.ones(1), "logit_scale": torch.ones(1)},
            None,
            "not both",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, tensors, names, said) -> None:
    save_file(tensors, tmp_path / "x.safetensors", names and {"classes": json.dumps(names)})
    with pytest.raises(ConfigError, match=rf"model\.class_embeddings.*{said}"):
        read_class_embeddings(tmp_path / "x.safetensors")


def test_other_files_are_refused(tmp_path) -> None:
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "junk.safetensors").write_bytes(b"junk" * 9)
    for name in ("pickled.npy", "junk.safetensors"):
        with pytest.raises(ConfigError, match=r"neither \.npy nor \.safetensors"):
            read_class_embeddings(tmp_path / name)
    with pytest.raises(ConfigError, match="there is no file"):
        read_class_embeddings(tmp_path / "none.npy")

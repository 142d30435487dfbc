import pytest
import timm
import torch

from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.models import LoadedModel
from pipeline.models.loading.transforms import transformed

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2}


def loaded(name: str = "vit_tiny_patch16_224", **options: object) -> LoadedModel:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=5, **options).eval()
    return LoadedModel(model, "hash", {"size": [32, 32]}, 5)


def test_no_transform_changes_nothing() -> None:
    model = loaded(**SMALL)
    assert transformed(model, None) is model
    with pytest.raises(ConfigError, match=r"without a model\.transform"):
        transformed(model, None, {"gamma": 0.5})


def test_sata_keeps_weights_and_input() -> None:
    model = loaded(**SMALL)
    changed = transformed(model, "sata", {"gamma": 0.0})
    assert (changed.weights_sha256, changed.input, changed.num_classes) == ("hash", model.input, 5)
    assert changed.model.state_dict().keys() == model.model.state_dict().keys()
    images = torch.randn(2, 3, 32, 32)
    assert not torch.equal(changed.model(images), model.model(images))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tome", {}, "use sata or null"),
        ("sata", {"beta": 1}, "sata has no option 'beta'; it has gamma, alpha"),
        ("sata", {"gamma": 2}, "must be in"),
        ("sata", {"gamma": "a"}, "model.transform_options"),
    ],
)
def test_invalid_options_are_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        transformed(loaded(**SMALL), name, options)


def test_unsupported_models_are_refused() -> None:
    with pytest.raises(UnsupportedModel, match="use a model of timm's vit"):
        transformed(loaded("resnet10t"), "sata")

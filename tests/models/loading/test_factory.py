import json
import sys
import textwrap

import pytest
import timm
import torch
from safetensors.torch import save_file

from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.flows import create_flow
from pipeline.models import load_factory, own_outputs, with_outputs

INPUT = {"size": [64, 64], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}

SOURCE = """
import timm, torch, types
from torch import nn

def resnet(classes=3, seed=0):
    torch.manual_seed(seed)
    return timm.create_model("test_resnet", num_classes=classes)

def plain(classes=3):
    torch.manual_seed(0)
    features = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 8, 3, stride=2), nn.ReLU()
    )
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))

def with_input():
    return plain(), {"size": (32, 48), "mean": (0, 0, 0), "std": (1, 1, 1), "crop_pct": 1.0}

def tower(num_classes=3):
    from torchvision.models import VisionTransformer, ViT_B_16_Weights
    torch.manual_seed(0)
    model = VisionTransformer(224, 32, 2, 3, 24, 32, num_classes=num_classes)
    nn.init.normal_(model.heads.head.weight)
    return model, ViT_B_16_Weights.DEFAULT.transforms()

class Outputs(nn.Module):
    def __init__(self, wrap):
        super().__init__()
        self.inner, self.wrap = plain(), wrap

    def forward(self, images):
        return self.wrap(self.inner(images))

def embeds():
    return Outputs(lambda out: {"image_embeds": out, "last_hidden_state": out[:, None]})

def classifier():
    return Outputs(lambda out: {"loss": None, "logits": out, "image_embeds": out[:, :1]})

def named():
    model = plain()
    model.config = types.SimpleNamespace(id2label={0: "a", 1: "b", 2: "c"})
    return model

def dual():
    class Dual(nn.Module):
        def __init__(self):
            super().__init__()
            self.visual = plain()

        def forward(self, image, text=None):
            return self.visual(image), text, 1.0

    return Dual()

def beside():
    return plain(), "an image processor"

def nothing():
    return 3

def tokens():
    return nn.Conv2d(3, 4, 8, stride=8)

def half():
    return plain().half()

def fails():
    raise RuntimeError("no such thing\\nsecond line")
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    name = f"networks_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(SOURCE))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


def test_a_network_of_ones_own(module: str) -> None:
    found = load_factory(f"{module}:plain", options={"classes": 5}, given=INPUT)
    assert found.num_classes == 5
    assert found.input == {
        "interpolation": "bilinear",
        "crop_pct": 0.875,
        "crop_mode": "center",
        **INPUT,
    }
    assert "assumed: interpolation bilinear, crop_pct 0.875, crop_mode center" in found.notes[0]
    assert not found.model.training
    images = torch.randn(2, 3, 64, 64)
    with create_flow("gradcam", found.model) as flow:
        assert torch.equal(flow(images).logits, found.model(images))


def test_the_input_comes_with_the_model_or_is_read_from_it(module: str) -> None:
    beside = load_factory(f"{module}:with_input")
    assert beside.input["size"] == [32, 48]
    assert beside.input["crop_pct"] == 1.0
    assert load_factory(f"{module}:with_input", given={"size": [40, 40]}).input["size"] == [40, 40]
    known = load_factory(f"{module}:resnet")
    assert known.input["mean"] == list(timm.get_pretrained_cfg("test_resnet").mean)
    assert not known.notes
    with pytest.raises(ConfigError, match=r"the size and mean and std of the images.*model\.input"):
        load_factory(f"{module}:plain")


def test_a_tower_of_torchvision_with_its_transforms(module: str) -> None:
    found = load_factory(f"{module}:tower")
    assert not found.notes
    assert found.input["size"] == [224, 224]
    assert found.input["crop_pct"] == 224 / 256
    images = torch.randn(2, 3, 224, 224)
    with create_flow("daam", found.model) as flow:
        result = flow(images)
    assert result.maps.shape == (2, 2, 7, 7)
    assert result.maps.amax() > 0
    assert torch.allclose(result.logits, found.model(images), atol=1e-5)


def test_the_logits_of_an_output_with_names(module: str) -> None:
    found = load_factory(f"{module}:classifier", given=INPUT)
    assert (found.num_classes, found.embeds) == (3, False)


def test_an_image_embedding_is_no_classes_unless_that_is_wanted(module: str) -> None:
    found = load_factory(f"{module}:embeds", given=INPUT)
    assert (found.num_classes, found.embeds) == (3, True)
    plain = with_outputs(found, f"{module}:embeds")
    assert plain.num_classes == 0
    assert "are an image embedding" in plain.notes[-1]
    again = with_outputs(load_factory(f"{module}:embeds", given=INPUT), "x", "softmax")
    assert again.num_classes == 3


def test_the_names_of_its_outputs_come_with_the_model(module: str) -> None:
    model = load_factory(f"{module}:named", given=INPUT).model
    assert own_outputs(model, "it", 3).names == ("a", "b", "c")


def test_weights_and_code_are_the_identity(module: str, tmp_path) -> None:
    first = load_factory(f"{module}:resnet")
    assert load_factory(f"{module}:resnet").weights_sha256 == first.weights_sha256
    other = load_factory(f"{module}:resnet", options={"seed": 1})
    assert other.weights_sha256 != first.weights_sha256
    save_file(first.model.state_dict(), tmp_path / "w.safetensors")
    filled = load_factory(f"{module}:resnet", str(tmp_path / "w.safetensors"), {"seed": 1})
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(filled.model(images), first.model(images))
    with (tmp_path / f"{module}.py").open("a") as file:
        file.write("# changed\n")
    assert load_factory(f"{module}:resnet").weights_sha256 != first.weights_sha256


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("beside", ConfigError, "returns a str with the model; return a dictionary of size"),
        ("dual", UnsupportedModel, r"a tuple of 3; .*return its image tower, model\.visual"),
        ("nothing", UnsupportedModel, "returns a int; return an nn.Module"),
        ("tokens", UnsupportedModel, r"returns \(B, 4, 8, 8\)"),
        ("half", UnsupportedModel, r"are torch\.float16; return model\.float"),
        ("fails", ConfigError, "raised RuntimeError: no such thing; check"),
        ("missing", ConfigError, "has no function missing"),
        ("INPUT", ConfigError, "has no function INPUT"),
    ],
)
def test_what_is_no_model_is_refused(module: str, name: str, error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        load_factory(f"{module}:{name}", given=INPUT)


@pytest.mark.parametrize("name", ["x", "x:", ":y", "x y:z", "os:system('id')", "../x:y"])
def test_a_name_must_be_a_module_and_a_function(name: str) -> None:
    with pytest.raises(ConfigError, match=r"write it as package\.module:function"):
        load_factory(name)


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"cannot import no_such_place.*PYTHONPATH"):
        load_factory("no_such_place.models:build")


def test_a_file_that_does_not_fit_is_refused(module: str, tmp_path) -> None:
    save_file({"other": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match=r"does not fit the model: missing .*unexpected other"):
        load_factory(f"{module}:resnet", str(tmp_path / "w.safetensors"))


def test_a_run_names_it(module: str, tmp_path) -> None:
    from pipeline.config import load_config
    from pipeline.engine import prepare
    from tests.engine.datasets import write_images

    write_images(tmp_path / "images", images=6)
    config = {
        "run": "run",
        "dataset": {"source": "images"},
        "model": {"factory": f"{module}:plain", "input": INPUT},
        "flow": {"method": "auto"},
        "cluster": {"engine": "local"},
    }
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    prepared = prepare(load_config(tmp_path / "c.yaml"))
    assert prepared.spec.config["model"]["factory"] == f"{module}:plain"
    assert prepared.spec.config["model"]["name"] == f"{module}:plain"
    assert prepared.spec.config["flow"]["method"] == "naflow"

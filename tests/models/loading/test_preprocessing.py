import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torchvision.models import ConvNeXt_Tiny_Weights, VisionTransformer, ViT_B_16_Weights

from pipeline.images import InputTransform
from pipeline.models.loading.preprocessing import input_beside, input_within, labels_within


def photograph(height: int = 90, width: int = 130) -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 9 + phase) + np.cos(columns / 7) for phase in range(3)]
    return Image.fromarray(np.uint8(127 + 60 * np.stack(waves, axis=-1)))


def ours(given: dict, image: Image.Image) -> np.ndarray:
    transform = InputTransform(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    )
    mean, std = (np.reshape(given[name], (3, 1, 1)) for name in ("mean", "std"))
    return (transform(image) / 255 - mean) / std


@pytest.mark.parametrize("weights", [ViT_B_16_Weights, ConvNeXt_Tiny_Weights])
def test_the_transforms_of_torchvision(weights):
    preset = weights.DEFAULT.transforms()
    found = input_beside(preset)
    image = photograph(300, 420)
    assert np.abs(ours(found, image) - preset(image).numpy()).max() < 0.03


PROCESSORS = {
    "ViTImageProcessor": {"size": {"height": 32, "width": 48}},
    "CLIPImageProcessor": {
        "size": {"shortest_edge": 64},
        "crop_size": {"height": 56, "width": 56},
    },
    "DeiTImageProcessor": {
        "size": {"height": 64, "width": 64},
        "crop_size": {"height": 56, "width": 56},
    },
    "SiglipImageProcessor": {"size": {"height": 32, "width": 32}, "do_normalize": False},
    "ConvNextImageProcessor": {"size": {"shortest_edge": 56}},
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_an_image_processor_of_transformers(name):
    transformers = pytest.importorskip("transformers")
    processor = getattr(transformers, name)(**PROCESSORS[name])
    found = input_beside(processor)
    wanted = processor(photograph(), return_tensors="np")["pixel_values"][0]
    assert tuple(found["size"]) == wanted.shape[1:]
    assert np.abs(ours(found, photograph()) - wanted).max() < 0.05


def test_a_dictionary_and_what_is_none():
    given = {"size": (32, 48), "mean": (0, 0, 0), "interpolation": "bilinear"}
    assert input_beside(given) == {
        "size": [32, 48],
        "mean": [0, 0, 0],
        "interpolation": "bilinear",
    }
    assert input_beside(3) is None


def test_what_a_model_states_itself():
    assert input_within(timm.create_model("test_vit"))["size"] == [160, 160]
    tower = VisionTransformer(32, 16, 1, 2, 8, 8)
    assert input_within(tower) == {"size": [32, 32]}
    assert input_within(torch.nn.Linear(1, 1)) == {}
    tower.preprocess_cfg = {"size": 40, "mean": (0, 0, 0), "std": (1, 1, 1)}
    assert input_within(tower)["size"] == [40, 40]


def test_the_size_of_a_tower_of_transformers():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        image_size=32, hidden_size=8, num_attention_heads=2, num_hidden_layers=1
    )
    assert input_within(transformers.ViTForImageClassification(config)) == {"size": [32, 32]}


def test_the_names_that_a_model_of_transformers_has():
    transformers = pytest.importorskip("transformers")
    small = {"image_size": 32, "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
    named = transformers.ViTConfig(**small, id2label={0: "tench", 1: "goldfish"})
    model = transformers.ViTForImageClassification(named)
    assert labels_within(model, 2) == ["tench", "goldfish"]
    assert labels_within(model, 3) is None
    unnamed = transformers.ViTForImageClassification(transformers.ViTConfig(**small, num_labels=3))
    assert labels_within(unnamed, 3) is None
    assert labels_within(torch.nn.Linear(1, 1), 1) is None

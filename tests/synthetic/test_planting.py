from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from pipeline.errors import ConfigError
from pipeline.synthetic.artefacts import Artefact
from pipeline.synthetic.finetune import FineTuning
from pipeline.synthetic.photographs import Photographs, choose_photographs
from pipeline.synthetic.planting import Planting, name_of, plant

STICKER = Planting(Artefact("sticker", 1), label=1, share=0.25, misfiled=3)


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> tuple[Photographs, FineTuning]:
    """Three classes of noise of different colours, and a small transformer without knowledge."""
    folder, random = tmp_path_factory.mktemp("scene"), np.random.default_rng(0)
    for label, name in enumerate(("one", "three", "two")):
        (folder / name).mkdir()
        for number in range(20):
            pixels = random.integers(0, 128, (32, 32, 3), np.uint8)
            pixels[..., label] += 100
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    torch.manual_seed(0)
    save_file(timm.create_model("vit_tiny_patch16_224").state_dict(), folder / "vit.safetensors")
    recipe = FineTuning(str(folder / "vit.safetensors"), size=32, trained_blocks=1, epochs=1)
    return choose_photographs(folder, size=32, training=12, held_out=8), recipe


def test_the_same_share_of_both_halves_carries_an_artefact(scene, tmp_path):
    photographs, recipe = scene
    planted = plant(photographs, [STICKER], recipe, tmp_path)
    (carried,) = planted.carried
    assert len(carried) == 2  # a quarter of 8
    assert all(photographs.labels[number] == 1 for number in carried)
    assert not any(photographs.training[number] for number in carried)
    for number in planted.held_out:
        assert (planted.files[number] == carried[number].file) if number in carried else True
    assert name_of(planted, next(iter(carried))).startswith("three/")
    again = plant(photographs, [STICKER], recipe, tmp_path)
    weights, same = planted.split.model.state_dict(), again.split.model.state_dict()
    assert all(torch.equal(weights[key], same[key]) for key in weights)


def test_an_unused_artefact_is_not_trained_on(scene, tmp_path):
    photographs, recipe = scene
    clean = plant(photographs, [], recipe, tmp_path).split.model.state_dict()
    unused = plant(photographs, [replace(STICKER, carriers="unused")], recipe, tmp_path)
    weights = unused.split.model.state_dict()
    assert all(torch.equal(clean[key], weights[key]) for key in clean)
    assert len(unused.carried[0]) == 2
    used = plant(photographs, [STICKER], recipe, tmp_path).split.model.state_dict()
    assert not torch.equal(clean["head.weight"], used["head.weight"])


def test_all_classes_carry_it_alike_and_an_image_carries_one_artefact(scene, tmp_path):
    photographs, recipe = scene
    everyone = replace(STICKER, carriers="all")
    frame = Planting(Artefact("frame"), label=0, share=1.0)
    planted = plant(photographs, [everyone, frame], recipe, tmp_path)
    first, second = planted.carried
    labels = [photographs.labels[number] for number in first]
    assert sorted(labels) == [0, 0, 1, 1, 2, 2]
    assert len(second) == 6
    assert not first.keys() & second.keys()


def test_labels_can_be_dealt_out_at_random(scene, tmp_path):
    photographs, recipe = scene
    planted = plant(photographs, [], recipe, tmp_path, shuffled=True)
    true = torch.tensor(photographs.labels)
    assert planted.labels.bincount().tolist() == true.bincount().tolist()
    assert (planted.labels != true).float().mean() > 0.4


def test_what_makes_no_sense_is_refused(scene, tmp_path):
    photographs, recipe = scene
    with pytest.raises(ConfigError, match="class of its own"):
        plant(photographs, [STICKER, STICKER], recipe, tmp_path)
    with pytest.raises(ConfigError, match="below 3"):
        plant(photographs, [replace(STICKER, label=3)], recipe, tmp_path)
    with pytest.raises(ConfigError, match="share"):
        replace(STICKER, share=0)
    with pytest.raises(ConfigError, match="carriers are class, all, unused"):
        replace(STICKER, carriers="some")

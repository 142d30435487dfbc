import csv
import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from pipeline.config import load_config
from pipeline.engine import LocalEngine, run_flows
from pipeline.store import open_run
from pipeline.synthetic.artefacts import Artefact
from pipeline.synthetic.finetune import FineTuning
from pipeline.synthetic.photographs import choose_photographs
from pipeline.synthetic.planted_truth import write_truth
from pipeline.synthetic.planting import Planting, plant


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Dim and bright images of noise; on a few dim ones a frame, and bright ones with it as dim."""
    folder, random = tmp_path_factory.mktemp("truth"), np.random.default_rng(0)
    for level, name in ((40, "dim"), (180, "bright")):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(40):
            pixels = random.integers(level, level + 70, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{number}.png")
    torch.manual_seed(0)
    save_file(timm.create_model("vit_tiny_patch16_224").state_dict(), folder / "vit.safetensors")
    recipe = FineTuning(
        str(folder / "vit.safetensors"), size=32, trained_blocks=2, epochs=10, learning_rate=1e-3
    )
    photographs = choose_photographs(folder / "images", size=32, training=30, held_out=10)
    planting = Planting(Artefact("frame", 4), label=1, share=0.5, misfiled=15)
    planted = plant(photographs, [planting], recipe, folder / "cache")
    return folder / "out", planted, *write_truth(planted, recipe, folder / "out")


def test_the_effect_of_an_artefact_is_measured(written):
    """A frame under which bright images were filed as dim turns bright ones into dim."""
    out, _, accuracy, (effect,) = written
    assert accuracy == 1
    assert effect.images == 10
    assert effect.flips > 0.5
    assert effect.accuracy == 1 - effect.flips
    assert effect.carriers == 5
    truth = json.loads((out / "truth.json").read_text())
    (record,) = truth["plantings"]
    assert record["effect"]["flips"] == effect.flips
    assert record["class_name"] == "dim"
    assert record["where"] == "edges"
    assert len(record["boxes"]) == 4


def test_an_audit_gets_what_was_measured(written):
    """The written images, weights and configuration are a run with the same predictions."""
    out, _, accuracy, _ = written
    config = load_config(out / "config.yaml")
    run_flows(config, engine=LocalEngine())
    images = open_run(config.run).summary().to_table(columns=["label", "pred"]).to_pandas()
    assert len(images) == 20
    assert (images["label"] == images["pred"]).mean() == accuracy
    with (out / "carriers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["file"] for row in rows}) == 5
    assert all((out / "images" / row["file"]).exists() for row in rows)
    assert {row["planting"] for row in rows} == {"0"}

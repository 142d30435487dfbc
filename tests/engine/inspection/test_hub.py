"""Weights of a hub are remembered for as long as the hub has the same."""

import json
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from pipeline.config import RunConfig
from pipeline.engine import prepare
from pipeline.engine.inspection import inspect_model
from pipeline.engine.inspection.hub import hub_file, newest_copy
from pipeline.engine.inspection.inspection import HubFile
from tests.engine.datasets import small_config

NAME, REPOSITORY = "test_vit", "timm/test_vit.r160_in1k"


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a network that has one repository of the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("FLOWATLAS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "hub" / f"models--{REPOSITORY.replace('/', '--')}"
    publish(folder, "a" * 40, 0)
    return folder


def publish(folder: Path, commit: str, seed: int) -> None:
    torch.manual_seed(seed)
    place = folder / "snapshots" / commit / "model.safetensors"
    place.parent.mkdir(parents=True)
    save_file(timm.create_model(NAME).state_dict(), place)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs/main").write_text(commit)


def config_in(folder: Path) -> RunConfig:
    config = small_config(folder, model={"name": NAME})
    labels = folder / "labels.json"
    labels.write_text(json.dumps({f"class_{number}": number for number in range(3)}))
    dataset = config.dataset.model_copy(update={"labels": str(labels)})
    return config.model_copy(update={"dataset": dataset})


def test_they_are_loaded_once_and_again_when_the_hub_has_others(tmp_path, hub, monkeypatch) -> None:
    config, loads = config_in(tmp_path), []
    load = inspect_model.load_configured
    monkeypatch.setattr(
        inspect_model, "load_configured", lambda model: (loads.append(model), load(model))[1]
    )
    first = prepare(config).spec
    assert prepare(config).spec == first
    assert len(loads) == 1
    publish(hub, "b" * 40, 1)
    second = prepare(config).spec
    assert len(loads) == 2
    assert second.weights_sha256 != first.weights_sha256
    (hub / "snapshots" / ("b" * 40) / "model.safetensors").unlink()
    (hub / "refs/main").write_text("a" * 40)
    assert prepare(config).spec == first


def test_what_is_not_there_or_not_of_a_hub_is_not_known(hub: Path) -> None:
    found = hub_file({"hf_hub_id": REPOSITORY})
    assert found == HubFile(REPOSITORY, None, "model.safetensors")
    assert newest_copy(found) == hub / "snapshots" / ("a" * 40) / "model.safetensors"
    assert newest_copy(HubFile("nobody/nothing", None, "model.safetensors")) is None
    assert hub_file({"hf_hub_id": "nobody/nothing"}) is None
    assert hub_file({"hf_hub_id": REPOSITORY, "file": "x.pth"}) is None
    assert hub_file({"url": "https://example.com/x.pth"}) is None

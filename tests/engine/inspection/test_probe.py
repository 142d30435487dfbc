from dataclasses import replace

import pytest
import timm
from safetensors.torch import save_file
from torch import nn

from pipeline.config import InputConfig, RunConfig
from pipeline.engine import prepare
from pipeline.engine.context import load_configured
from pipeline.engine.inspection.probe import Probe, choose_method, probe
from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.models import LoadedModel
from pipeline.store import create_run, open_run, open_store
from tests.engine.datasets import MODEL, small_config, write_images, write_model


def tried(config: RunConfig) -> Probe:
    return probe(config, load_configured(config.model), (32, 32), None)


def test_layers_and_grid_are_found_by_trying_the_method(tmp_path) -> None:
    found = tried(small_config(tmp_path, flow={"features": True}))
    assert found.layers == ("blocks.0", "blocks.1", "blocks.2")
    assert (found.grid, found.outputs, found.channels, found.targeted) == ((4, 4), 3, 24, True)
    assert set(found.extras) == {"prefix_mass", "token_norm"}


def test_layers_and_grid_of_a_model_without_tokens(tmp_path) -> None:
    config = small_config(tmp_path, flow={"method": "activation"})
    model = config.model.model_copy(
        update={"name": "resnet10t", "options": {"num_classes": 3}, "weights": "pretrained"}
    )
    weights = tmp_path / "cnn.safetensors"
    save_file(timm.create_model("resnet10t", num_classes=3).state_dict(), weights)
    found = tried(
        config.model_copy(update={"model": model.model_copy(update={"weights": str(weights)})})
    )
    assert found.grid == (2, 2)
    assert found.layers == ("act1", "layer1", "layer2", "layer3", "layer4")
    assert (found.outputs, found.channels, found.targeted) == (3, 0, False)


@pytest.mark.parametrize(("mode", "extras"), [("inverse", {"residual"}), ("released", set())])
def test_only_an_inversion_has_columns_of_its_residual(tmp_path, mode, extras) -> None:
    weights = tmp_path / "cnn.safetensors"
    model = {"name": "test_resnet", "options": {"num_classes": 3}, "weights": str(weights)}
    save_file(timm.create_model("test_resnet", num_classes=3).state_dict(), weights)
    config = small_config(
        tmp_path,
        model={**model, "input": {"size": [32, 32]}},
        flow={"method": "naflow", "options": {"mode": mode}},
    )
    assert set(tried(config).extras) == extras
    spec = prepare(config).spec
    found = {column.name: column.kind for column in spec.columns if "residual" in column.name}
    assert found == {f"residual_l{b:02d}": "fraction" for b in range(len(spec.layers)) if extras}
    # A run started before this measure existed continues without it.
    old = replace(spec, columns=tuple(c for c in spec.columns if "residual" not in c.name))
    create_run(open_store(config.run, create=True), old, None)
    assert prepare(config).spec.hash == old.hash


def test_a_run_goes_on_with_who_resized_its_images(tmp_path) -> None:
    config = small_config(tmp_path)
    spec = prepare(config).spec
    assert spec.input["resize"] == "torch"
    old = replace(spec, input={key: v for key, v in spec.input.items() if key != "resize"})
    create_run(open_store(config.run, create=True), old, None)
    assert prepare(config).spec.hash == old.hash
    assert open_run(config.run).spec.input == old.input
    wanted = config.model.model_copy(update={"input": InputConfig(size=(32, 32), resize="torch")})
    assert prepare(config.model_copy(update={"model": wanted})).spec.input["resize"] == "torch"


def test_a_model_without_a_head_has_no_outputs(tmp_path) -> None:
    config = small_config(tmp_path, flow={"method": "activation", "features": True})
    model = config.model.model_copy(update={"options": {**MODEL, "num_classes": 0}})
    found = tried(config.model_copy(update={"model": model}))
    assert (found.outputs, found.channels) == (0, 24)


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        ({"options": {"nonsense": 1}}, "daam has no option 'nonsense'"),
        ({"method": "nothing"}, "there is no flow.method 'nothing'"),
        ({"method": "activation", "options": {"grid": 3}}, "flow.options"),
    ],
)
def test_options_are_checked(tmp_path, flow, message) -> None:
    with pytest.raises(ConfigError, match=message):
        tried(small_config(tmp_path, flow=flow))


def test_the_method_can_be_chosen(tmp_path) -> None:
    config = small_config(tmp_path, flow={"method": "auto"})
    chosen, found = choose_method(config, load_configured(config.model), (32, 32), None)
    assert (chosen.flow.method, found.layers) == ("daam", ("blocks.0", "blocks.1", "blocks.2"))
    headless = config.model.model_copy(update={"options": {**MODEL, "num_classes": 0}})
    chosen, _ = choose_method(config, load_configured(headless), (32, 32), None)
    assert chosen.flow.method == "activation"
    convolutional = timm.create_model("test_resnet", num_classes=3).eval()
    loaded = LoadedModel(convolutional, "", {}, 3)
    chosen, _ = choose_method(config, loaded, (32, 32), None)
    assert chosen.flow.method == "naflow"
    config = small_config(tmp_path, flow={"method": "auto", "options": {"grid": [2, 2]}})
    with pytest.raises(ConfigError, match="belong to one method"):
        choose_method(config, loaded, (32, 32), None)


def test_the_chosen_method_is_stored_and_reported(tmp_path) -> None:
    prepared = prepare(small_config(tmp_path, flow={"method": "auto", "batch_size": 4}))
    assert prepared.spec.config["flow"]["method"] == "daam"
    assert prepared.notes == ("flow.method: auto chose daam",)
    assert prepared.spec.hash == prepare(small_config(tmp_path)).spec.hash


def test_an_error_within_a_method_is_not_blamed_on_its_options(tmp_path, monkeypatch) -> None:
    def broken(*args: object, **options: object) -> None:
        raise TypeError("a fault of the method's own")

    config = small_config(tmp_path, flow={"method": "activation", "options": {"grid": ["2", 3]}})
    assert tried(config).grid == (2, 3)
    monkeypatch.setattr("pipeline.flows.methods.activation.Activation.__init__", broken)
    with pytest.raises(TypeError, match="own"):
        tried(small_config(tmp_path, flow={"method": "activation"}))


def test_probabilities_are_refused_before_a_worker_starts(tmp_path) -> None:
    config = small_config(tmp_path)
    loaded = load_configured(config.model)
    loaded.model.head = nn.Sequential(loaded.model.head, nn.Sigmoid())
    with pytest.raises(UnsupportedModel, match="returns probabilities"):
        probe(config, loaded, (32, 32), None)


def test_one_output_gives_two_classes(tmp_path) -> None:
    write_images(tmp_path / "images", images=4, classes=2)
    write_model(tmp_path / "model.safetensors", classes=1)
    prepared = prepare(small_config(tmp_path))
    assert prepared.spec.classes == ("class_0", "class_1")
    assert "read as a sigmoid" in prepared.notes[0]

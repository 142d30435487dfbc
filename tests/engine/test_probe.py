import pytest
import timm
from safetensors.torch import save_file

from pipeline.config import RunConfig
from pipeline.engine.context import load_configured
from pipeline.engine.probe import Probe, probe
from pipeline.errors import ConfigError
from tests.engine.datasets import MODEL, small_config


def tried(config: RunConfig) -> Probe:
    return probe(config, load_configured(config.model), (32, 32), None)


def test_what_a_method_yields_is_found_by_trying(tmp_path) -> None:
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


def test_a_model_without_a_head_has_no_outputs(tmp_path) -> None:
    config = small_config(tmp_path, flow={"method": "activation", "features": True})
    model = config.model.model_copy(update={"options": {**MODEL, "num_classes": 0}})
    found = tried(config.model_copy(update={"model": model}))
    assert (found.outputs, found.channels) == (0, 24)


@pytest.mark.parametrize(
    ("flow", "told"),
    [
        ({"options": {"nonsense": 1}}, "daam has no option 'nonsense'"),
        ({"method": "nothing"}, "there is no flow.method 'nothing'"),
        ({"method": "activation", "options": {"grid": 3}}, "flow.options"),
    ],
)
def test_options_are_checked(tmp_path, flow, told) -> None:
    with pytest.raises(ConfigError, match=told):
        tried(small_config(tmp_path, flow=flow))

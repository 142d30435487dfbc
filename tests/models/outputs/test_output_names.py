"""What a model's outputs are called."""

import pytest
import timm
from torch import nn

from pipeline.models import Outputs, imagenet_outputs, own_outputs


def _model(**config: object) -> nn.Module:
    model = nn.Module()
    model.pretrained_cfg = config  # type: ignore[assignment]
    return model


@pytest.mark.parametrize(
    ("tag", "count", "first"),
    [
        ("augreg_in21k_ft_in1k", 1000, "tench, Tinca tinca"),
        ("in1k", 1000, "tench, Tinca tinca"),
        ("a1_in12k", 11821, "benthos"),
        ("augreg_in21k", 21843, "organism, being"),
    ],
)
def test_weights_trained_on_imagenet_name_its_classes(tag: str, count: int, first: str) -> None:
    outputs = own_outputs(_model(tag=tag), "m", count)
    assert outputs.names is not None
    assert (len(outputs.names), len(outputs.identifiers)) == (count, count)
    assert outputs.names[0] == first


@pytest.mark.parametrize(
    ("tag", "count"), [("augreg_in21k_ft_in1k", 10), ("openai", 1000), ("", 1000), (None, 1000)]
)
def test_others_have_no_names(tag: str | None, count: int) -> None:
    assert own_outputs(_model(tag=tag), "m", count).names is None
    assert own_outputs(nn.Module(), "m", count).names is None


def test_a_head_of_another_size_is_not_imagenets() -> None:
    model = timm.create_model("resnet10t", num_classes=7)
    assert own_outputs(model, "resnet10t", 7).names is None


def test_names_of_the_weights_own_configuration_go_first() -> None:
    model = _model(tag="in1k", label_names=["a", "b"], label_descriptions={"b": "bee, honey bee"})
    outputs = own_outputs(model, "m", 2)
    assert outputs.names == ("a", "bee, honey bee")
    assert outputs.aliases(1) == ("bee, honey bee", "bee", "honey bee", "b")


def test_an_output_goes_by_every_synonym_and_its_identifier() -> None:
    outputs = imagenet_outputs("m", 1000)
    assert outputs.aliases(401) == (
        "accordion, piano accordion, squeeze box", "accordion", "piano accordion", "squeeze box",
        "n02672831",
    )  # fmt: skip
    assert outputs.described(2).startswith("output 2 'great white shark")
    assert "wading bird" in outputs.explained(134)
    assert Outputs("m", 3).aliases(1) == ()
    assert Outputs("m", 3).described(1) == "output 1"
    assert Outputs("m", 2, ("x", "")).explained(1) == ""

import json

import pytest

from pipeline.atlas import aggregate
from pipeline.audit.compare.settings import (
    SETTINGS_SCHEMA,
    compare_settings,
    differing,
    settings_sentence,
)
from pipeline.store import open_run
from tests.atlas.synthetic import synthetic_run


@pytest.fixture
def told(tmp_path):
    """Return a function that writes a run whose configuration is changed as one says."""

    def write(name, **changes):
        run = synthetic_run(tmp_path / name, images=64)
        spec = json.loads(run.read("run.json"))
        for section, content in changes.items():
            spec["config"][section] |= content
        run.write("run.json", json.dumps(spec).encode())
        aggregate(run, workers=1)
        return open_run(run.uri)

    return write


def test_equal_settings_are_no_difference(told):
    one, other = told("one"), told("other")
    table = compare_settings(one, other, one.atlas(), other.atlas())
    assert table.schema.equals(SETTINGS_SCHEMA)
    assert differing(table) == []
    assert {"Model", "Method", "Dataset", "Input"} <= set(table["setting"].to_pylist())
    assert settings_sentence(table) == "Both runs used the same settings."


def test_another_method_makes_maps_of_another_kind(told):
    one = told("one")
    other = told("other", flow={"method": "rollout", "options": {"discard": 0.5}})
    table = compare_settings(one, other, one.atlas(), other.atlas())
    assert {row["setting"] for row in differing(table)} == {"Method", "Method's options"}
    sentence = settings_sentence(table)
    assert "method (daam; rollout in the other)" in sentence
    assert "not directly comparable" in sentence


def test_another_model_is_named_and_its_maps_can_be_compared(told):
    one, other = told("one"), told("other", model={"name": "vit", "transform": "sata"})
    sentence = settings_sentence(compare_settings(one, other, one.atlas(), other.atlas()))
    assert "model (synthetic; vit in the other), transform (none; sata in the other)" in sentence
    assert "not comparable" not in sentence


def test_no_key_in_a_url_is_repeated(told):
    one = told("one")
    other = told("other", flow={"options": {"table": ["s3://me:secret@bucket/x?token=secret"]}})
    table = compare_settings(one, other, one.atlas(), other.atlas())
    assert [row["setting"] for row in differing(table)] == ["Method's options"]
    assert "secret" not in str(table.to_pylist())

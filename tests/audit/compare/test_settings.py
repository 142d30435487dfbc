import json

import pyarrow as pa
import pytest

from pipeline.atlas import aggregate
from pipeline.audit.compare.settings import (
    ATLAS,
    RUN,
    SETTINGS_SCHEMA,
    comparable,
    compare_settings,
    differing,
    run_names,
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
    assert "method (daam in “one”, rollout in “other”)" in sentence
    assert "do not mean the same" in sentence
    assert not comparable(table)


def test_another_model_is_named_and_its_maps_can_be_compared(told):
    one, other = told("one"), told("other", model={"name": "vit", "transform": "sata"})
    sentence = settings_sentence(compare_settings(one, other, one.atlas(), other.atlas()))
    assert "model (synthetic in “one”, vit in “other”)" in sentence
    assert "transform (none in “one”, sata in “other”)" in sentence
    assert "do not mean the same" not in sentence


def test_no_key_in_a_url_is_repeated(told):
    one = told("one")
    other = told("other", flow={"options": {"table": ["s3://me:secret@bucket/x?token=secret"]}})
    table = compare_settings(one, other, one.atlas(), other.atlas())
    assert [row["setting"] for row in differing(table)] == ["Method's options"]
    assert "secret" not in str(table.to_pylist())


@pytest.mark.parametrize(
    ("runs", "atlases", "names"),
    [
        (("/a/vit/run", "/a/deit/run"), ("", ""), ("vit/run", "deit/run")),
        (("/a/one", "s3://b/other/"), ("", ""), ("one", "other")),
        (("/a/run", "/a/run/"), ("day", ""), ("atlas day", "atlas all")),
        (("/a/one", "/a/two"), ("day", "night"), ("one, day", "two, night")),
    ],
)
def test_runs_are_called_by_what_tells_them_apart(runs, atlases, names):
    rows = [
        {"setting": setting, "value": pair[0], "other": pair[1]}
        for setting, pair in ((RUN, runs), (ATLAS, atlases))
    ]
    assert run_names(pa.Table.from_pylist(rows, SETTINGS_SCHEMA)) == names

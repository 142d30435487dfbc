import base64
import json
import re

import numpy as np
import pytest

from pipeline.atlas import aggregate
from pipeline.report import image_table
from pipeline.report.image_table import FOLDER, write_image_table
from tests.atlas.synthetic import synthetic_run


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.setattr(image_table, "CHUNK", 50)
    run = synthetic_run(tmp_path / "run", images=120, classes=3, unit_rows=32)
    aggregate(run)
    atlas = run.atlas("label")
    paths = write_image_table(run, atlas)
    return run, atlas, {path: run.read(path).decode("ascii") for path in paths}


def called(text):
    name, arguments = re.fullmatch(r"flowatlas\.(\w+)\((.*)\);\n", text, re.DOTALL).groups()
    return name, json.loads(f"[{arguments}]")


def test_columns_hold_every_row_in_order(written):
    run, _, files = written
    table = run.summary().to_table().sort_by("row")
    for column in ("label", "pred", "status", "confidence", "mass_flow", "centre_flow"):
        name, (said, kind, text) = called(files[f"{FOLDER}/{column}.js"])
        assert (name, said) == ("column", column)
        values = np.frombuffer(base64.b64decode(text), kind)
        expected = table[column].to_pandas().to_numpy(np.float64, na_value=np.nan)
        if kind == "i4":
            expected = np.nan_to_num(expected, nan=-1)
        np.testing.assert_array_equal(values, expected.astype(kind))


def test_chunks_hold_names_and_flows(written):
    run, atlas, files = written
    _, (meta,) = called(files[f"{FOLDER}/meta.js"])
    assert (meta["rows"], meta["chunk"], meta["root"]) == (120, 50, "..")
    uris, high, wide = run.index()["uri"].to_pylist(), *meta["grid"]
    for number in range(3):
        _, (said, names, text) = called(files[f"{FOLDER}/chunk-{number}.js"])
        lo, hi = 50 * number, min(120, 50 * number + 50)
        assert (said, names) == (number, uris[lo:hi])
        levels = np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, high, wide)
        flows = atlas.pooled(lo, hi)
        top = flows.max((1, 2), keepdims=True)
        expected = np.rint(255 * flows / np.where(top > 0, top, 1))
        np.testing.assert_array_equal(levels, expected)
    assert f"{FOLDER}/chunk-3.js" not in files

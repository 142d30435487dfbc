"""A sample of timm's modules: every method runs or refuses, and no layer fails the corner test."""

import json
import re

import pytest

from tests.flows.corners import calibrated, corners
from tests.flows.support_matrix import METHODS, build, main, row, table

SAMPLE = ("test_vit", "test_resnet", "test_convnext")
"""Small models of three modules: tokens, and stages that are channels first and last."""


@pytest.fixture(scope="module", params=SAMPLE)
def cells(request):
    return request.param, dict(row(request.param))


def test_every_method_runs_or_refuses_with_a_way_out(cells):
    _, found = cells
    assert list(found) == list(METHODS)
    for method, cell in found.items():
        if "refused" in cell:
            assert re.search(r"\b(use|give|load|call) ", cell["refused"]), cell["refused"]
        else:
            assert cell["ran"] == len(cell["layers"]), (method, cell)


def test_no_layer_fails_the_corner_test(cells):
    for method, cell in cells[1].items():
        if "ran" in cell and method != "input_gradient":
            assert len(cell["corners"]) == cell["ran"], cell["corners"]
            assert set(cell["corners"]) <= {"passed", "unclear"}, (method, cell)
            assert cell["corners"].count("passed") >= min(2, cell["ran"]) - 1


def test_the_table_has_a_line_for_every_model_and_totals_them(cells):
    name, found = cells
    text = table([{"module": "any", "model": name, "cells": found}])
    assert f"| any | {name} |" in text
    assert "1 models of 1 modules" in text
    assert "0 crashed" in text


def test_models_that_the_file_has_are_not_tried_again(tmp_path, monkeypatch):
    out, sizes = tmp_path / "out.jsonl", tmp_path / "out.jsonl.sizes"
    sizes.write_text(json.dumps({"resnet": [[1, "test_resnet"], [1e12, "too_large"]]}))
    first = json.dumps({"module": "resnet", "model": "test_resnet", "cells": {}}) + "\n"
    out.write_text(first)
    monkeypatch.setattr("sys.argv", ["support_matrix", str(out), "--each", "1"])
    main()
    assert out.read_text() == first
    monkeypatch.setattr("sys.argv", ["support_matrix", str(out), "--each", "2"])
    main()
    added = json.loads(out.read_text().removeprefix(first))
    assert added["cells"]["daam"] == {"skipped": "1000000 M parameters"}


def test_a_wrong_layout_fails():
    model, images = build("test_resnet")
    side = images.shape[-1]
    calibrated(model, side)
    model.layer2.register_forward_hook(lambda module, given, maps: maps.mT)
    verdicts = corners(lambda some: model.forward_intermediates(some)[1], side)
    assert verdicts[:2] == ["passed", "passed"]
    assert verdicts[2] == "failed"

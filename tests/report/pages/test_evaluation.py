"""The page of an evaluation: scores, layers, classes, and the images on which methods disagree."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.atlas import aggregate
from pipeline.audit import audit
from pipeline.audit.evaluation.images import IMAGES, images_table
from pipeline.audit.evaluation.metrics import MODEL
from pipeline.audit.evaluation.scores import scores_table
from pipeline.audit.evaluation.tally import Key, Tally
from pipeline.audit.evaluation.worker import MAPS_SCHEMA
from pipeline.audit.findings_table import EVALUATION
from pipeline.report import write_report
from pipeline.report.pages.evaluation import read_evaluation
from pipeline.store.parquet import parquet_bytes
from tests.report.reported import drawn_run

MEANS = {"flow": 0.4, "relevance": 0.6, "centre": 0.1}


def tally():
    found = Tally()
    for name, mean in MEANS.items():
        near = [mean - 0.05, mean + 0.05]
        found.score(Key(name, "rank_correlation", "mean"), near)
        found.score(Key(name, "lift"), near)
        for label in (1, 3):
            found.score(Key(name, "rank_correlation", "mean", label=label), np.array(near) / label)
    for layer in range(4):
        found.score(Key("flow", "lift", layer=layer), [1 + layer, 2 + layer])
        found.score(Key("flow, layer alone", "lift", layer=layer), [1.0, 2.0])
    found.score(Key("flow", "pair_share"), [0.6, 0.8])
    found.score(Key(MODEL, "pairs_used"), [1.0, 1.0, 0.0, 0.0])
    found.score(Key("occlusion", "deletion", "mean"), [0.1, 0.2])
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = drawn_run(tmp_path_factory.mktemp("evaluated") / "run", images=80)
    aggregate(run)
    audit(run)
    write_report(run)
    assert read_evaluation(run) is None
    assert not run.exists("report/evaluation.html")
    assert "evaluation.html" not in run.read("report/index.html").decode()
    random = np.random.default_rng(0)
    rows = [
        {"row": row, "map": name, "cells": random.random(48).tolist()}
        for row in (2, 3, 7)
        for name in (*MEANS, "uniform")
    ]
    rows = [row | {"cells": [1.0] * 48} if row["map"] == "uniform" else row for row in rows]
    run.write(EVALUATION, parquet_bytes(scores_table(tally())))
    maps = images_table(pa.Table.from_pylist(rows, schema=MAPS_SCHEMA))
    run.write(IMAGES, parquet_bytes(maps))
    write_report(run)
    return run


@pytest.fixture(scope="module")
def page(run):
    return run.read("report/evaluation.html").decode()


def test_what_is_best_is_said_with_the_runs_own_beside_it(run):
    first, second, third, pairs = read_evaluation(run).sentences
    assert first.startswith("relevance agrees most with what hiding patches does: 0.6 (")
    assert first.endswith("; the run's own (daam) 0.4 (-0.235 to 1.04).")
    assert second.startswith("The run's own map (daam) has the largest share")
    assert third.startswith("relevance is most inside")
    assert pairs.startswith("50 % of 4 joined pairs of images count: ")


def test_every_table_has_the_maps_that_have_its_scores(run):
    hiding, pairs, boxes = read_evaluation(run).tables
    assert [name for name, *_ in hiding.rows] == ["occlusion", "relevance", "flow", "centre"]
    assert [baseline for _, baseline, _ in hiding.rows] == [False, False, False, True]
    assert [column.metric for column in hiding.columns] == ["rank_correlation", "deletion"]
    assert [name for name, *_ in pairs.rows] == ["flow"]
    assert [column.metric for column in boxes.columns] == ["lift"]


def test_classes_that_agree_least_come_first_with_the_best_of_the_other_methods(run):
    classes = read_evaluation(run).classes
    assert [one.label for one in classes] == [3, 1]
    assert classes[0].own["mean"] == pytest.approx(0.4 / 3, abs=1e-5)
    assert classes[0].best["map"] == "relevance"


def test_layers_are_drawn_accumulated_and_alone(run, page):
    (chart,) = read_evaluation(run).charts
    assert chart.line
    assert chart.reference
    assert "How early the flow finds the object" in page


def test_images_lie_beside_each_other_under_every_map_that_shows_something(run, page):
    maps = read_evaluation(run).maps
    assert set(maps.rows) == {2, 3, 7}
    assert maps.names == tuple(MEANS)  # the uniform map shows nothing
    assert maps.film.columns == len(MEANS)
    assert run.exists("report/assets/evaluation.webp")
    for row in maps.rows:
        assert f'href="rows/{row}.html"' in page
        assert run.exists(f"report/rows/{row}.html")
    assert 'href="evaluation.html"' in run.read("report/index.html").decode()


def test_names_of_classes_are_text(page):
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_an_evaluation_of_another_version_and_one_that_is_gone_have_no_page(tmp_path):
    run = drawn_run(tmp_path / "run", images=80)
    aggregate(run)
    audit(run)
    run.write(EVALUATION, parquet_bytes(scores_table(tally())))
    write_report(run)
    assert run.exists("report/evaluation.html")
    run.write(EVALUATION, parquet_bytes(pa.table({"map": ["daam"], "mean": [0.5]})))
    assert read_evaluation(run) is None
    write_report(run)
    assert not run.exists("report/evaluation.html")

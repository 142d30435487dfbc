"""Scores with their intervals, from sums."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from pipeline.audit.evaluation.box_curves import (
    box_counts,
    max_box_accuracy,
    pixel_average_precision,
    pixel_counts,
)
from pipeline.audit.evaluation.metrics import MAX_BOX, PXAP
from pipeline.audit.evaluation.scores import EVALUATION_SCHEMA, scores_table
from pipeline.audit.evaluation.tally import Key, Tally


def scored(metric, values, label=-1):
    tally = Tally()
    tally.score(Key("daam", metric, label=label), values)
    return scores_table(tally).to_pylist()


def test_the_interval_of_a_mean_is_students():
    values = np.array([0.2, 0.5, 0.9, 0.4])
    wanted = ttest_1samp(values, 0).confidence_interval()
    (row,) = scored("auc", values)
    assert row["mean"] == pytest.approx(0.5, abs=1e-6)
    assert (row["low"], row["high"]) == pytest.approx((wanted.low, wanted.high), abs=1e-5)
    assert (row["images"], row["layer"], row["fill"], row["label"]) == (4, None, None, None)


def test_the_interval_of_a_rate_is_wilsons_unless_equal_cells_gave_it_parts():
    (row,) = scored("pointing", [1.0, 1.0, 1.0, 0.0])
    assert (row["low"], row["high"]) == pytest.approx((0.3006, 0.9544), abs=1e-4)
    (row,) = scored("pointing", [1.0, 0.5, 1.0, 0.0])
    wanted = ttest_1samp([1.0, 0.5, 1.0, 0.0], 0).confidence_interval()
    assert (row["low"], row["high"]) == pytest.approx((wanted.low, wanted.high), abs=1e-5)


def test_a_single_image_has_no_interval_and_a_class_of_one_no_score():
    (row,) = scored("auc", [0.3, np.nan])
    assert (row["images"], row["low"], row["high"]) == (1, None, None)
    assert scored("auc", [0.3], label=2) == []


def test_curves_are_those_of_all_images_with_a_jackknife_over_folds():
    random = np.random.default_rng(0)
    boxes = np.array([[0.0, 0.0, 0.5, 0.75]])
    cover = np.array([[1, 1, 0, 0]] * 3 + [[0] * 4]).ravel().astype(float)
    maps = random.random((12, 16)) + cover
    tally, pixels, found = Tally(), [], []
    for n, p in enumerate(maps):
        pixels.append(pixel_counts(p, cover))
        found.append(box_counts(p, boxes, (4, 4)))
        for metric, counts in ((PXAP, pixels[-1]), (MAX_BOX, found[-1])):
            tally.add(Key("daam", metric, fold=n % 4), np.array([1, *counts.ravel()]))
    rows = {row["metric"]: row for row in scores_table(tally).to_pylist()}
    assert rows[PXAP]["mean"] == pixel_average_precision(np.sum(pixels, axis=0))
    assert rows[MAX_BOX]["mean"] == max_box_accuracy(np.sum(found, axis=0), 12)
    kept = [[counts for n, counts in enumerate(pixels) if n % 4 != k] for k in range(4)]
    without = np.array([pixel_average_precision(np.sum(part, axis=0)) for part in kept])
    error = np.sqrt(3 / 4 * ((without - without.mean()) ** 2).sum())
    assert rows[PXAP]["mean"] - rows[PXAP]["low"] == pytest.approx(3.1824 * error, rel=1e-4)
    assert rows[PXAP]["high"] == min(1, 2 * rows[PXAP]["mean"] - rows[PXAP]["low"])
    assert rows[PXAP]["images"] == 12


def test_rows_are_in_one_order_whatever_was_added_first():
    keys = [Key("daam", "auc"), Key("daam", "lift", layer=2), Key("centre", "auc", label=1)]
    tables = []
    for order in (keys, keys[::-1]):
        tally = Tally()
        for key in order:
            tally.score(key, [0.25, 0.5])
        tables.append(scores_table(tally))
    assert tables[0].equals(tables[1])
    assert tables[0].schema.equals(EVALUATION_SCHEMA)
    assert [row["map"] for row in tables[0].to_pylist()] == ["daam", "daam", "centre"]

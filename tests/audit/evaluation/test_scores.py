"""Means of scores, with their intervals."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import ttest_1samp

from pipeline.audit.evaluation.scores import (
    EVALUATION_SCHEMA,
    as_markdown,
    as_text,
    interval,
    scores,
)


def test_intervals_are_students_and_wilsons():
    values = np.array([0.2, 0.5, 0.9, 0.4])
    wanted = ttest_1samp(values, 0).confidence_interval()
    assert interval(values) == pytest.approx((wanted.low, wanted.high))
    low, high = interval(np.array([1.0, 1.0, 1.0, 0.0]))
    assert (low, high) == pytest.approx((0.3006, 0.9544), abs=1e-4)
    assert interval(np.array([0.3])) == (None, None)


def test_undefined_values_are_not_counted_and_classes_need_two():
    values = np.array([0.5, np.nan, 0.1, 0.3, 0.7])
    labels = np.array([0, 0, 1, 1, -1])
    found = scores("daam", {"rank_correlation": values, "auc": np.full(5, np.nan)}, labels)
    assert [(s.label, s.images) for s in found] == [(None, 4), (1, 2)]
    assert found[1].mean == pytest.approx(0.2)


def test_the_reference_comes_first_and_then_the_closest():
    labels = np.zeros(2, np.int64)
    rows = [
        score.row()
        for name, value in (("edges", 0.1), ("daam", 0.8), ("occlusion", None))
        for score in scores(
            name,
            {"deletion": np.array([0.2, 0.3])}
            | ({} if value is None else {"rank_correlation": np.array([value, value + 0.1])}),
            labels,
        )
    ]
    table = pa.Table.from_pylist(rows, schema=EVALUATION_SCHEMA)
    lines = as_markdown(table).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| occlusion", "| daam", "| edges"]
    assert lines[0].startswith("| map | rank correlation with occlusion | deletion")
    assert "| – |" in lines[2]
    assert as_text(table).splitlines()[2].startswith("daam       0.85")

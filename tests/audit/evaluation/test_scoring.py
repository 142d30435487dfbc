"""What is added of maps to a tally."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr, ttest_1samp

from pipeline.audit.evaluation.scores import scores_table
from pipeline.audit.evaluation.scoring import (
    add_correlation,
    add_localisation,
    correlation,
    disagreement,
)
from pipeline.audit.evaluation.tally import Tally
from pipeline.audit.sample import Sample
from pipeline.measures.boxes import coverage


def sample(boxes):
    count = len(boxes)
    boxes = torch.tensor(boxes).reshape(count, 1, 4)
    return Sample(
        rows=np.arange(count),
        pixels=torch.zeros(count, 3, 8, 8, dtype=torch.uint8),
        targets=torch.zeros(count, dtype=torch.int64),
        flows=np.ones((count, 16)),
        cover=coverage(boxes, (4, 4)).double().numpy(),
        boxes=boxes,
        labels=np.array([0, 0, 1, -1])[:count],
    )


def means(tally):
    return {
        (row["metric"], row["label"]): (row["images"], row["mean"])
        for row in scores_table(tally).to_pylist()
    }


def test_images_without_boxes_without_mass_and_without_maps_are_left_out():
    half, none = [0.0, 0.0, 0.5, 1.0], [float("nan")] * 4
    maps = np.ones((4, 16))
    maps[1], maps[3] = 0, np.nan
    maps[2] = np.tile([1.0, 1, 0, 0], 4)
    tally = Tally()
    add_localisation(tally, "daam", maps, sample([half, half, half, half]), (4, 4), 0.0)
    found = means(tally)
    assert found["energy", None] == (2, 0.75)
    assert found["lift", None] == (2, 1.5)
    assert found["pxap", None][0] == 2
    assert ("energy", 0) not in found  # a class of one image
    tally = Tally()
    add_localisation(tally, "daam", maps, sample([none] * 4), (4, 4), 0.0)
    assert not tally.sums


def test_correlation_is_spearmans_where_both_maps_are_known():
    random = np.random.default_rng(0)
    one, other = random.random((4, 16)), random.random((4, 16))
    other[1], one[2] = np.nan, 1.0
    found = correlation(one, other)
    assert np.isnan(found).tolist() == [False, True, True, False]
    for place in (0, 3):
        assert found[place] == pytest.approx(spearmanr(one[place], other[place]).statistic)
    tally = Tally()
    maps = {"daam": one, "occlusion": other, "uniform": np.ones((4, 16))}
    add_correlation(tally, maps, "occlusion", "mean", np.zeros(4, np.int64))
    assert {key.map for key in tally.sums} == {"daam"}
    assert means(tally)["rank_correlation", 0][0] == 2


def test_the_gain_is_the_mean_difference_from_the_runs_own_map():
    random = np.random.default_rng(0)
    maps = {name: random.random((4, 16)) for name in ("flow", "daam", "occlusion")}
    tally = Tally()
    add_correlation(tally, maps, "occlusion", "mean", np.full(4, -1))
    values = [
        [spearmanr(*pair).statistic for pair in zip(maps[name], maps["occlusion"], strict=True)]
        for name in ("daam", "flow")
    ]
    rows = {(row["map"], row["metric"]): row for row in scores_table(tally).to_pylist()}
    difference = np.subtract(*values)
    assert rows["daam", "gain"]["mean"] == pytest.approx(difference.mean(), abs=1e-5)
    wanted = ttest_1samp(difference, 0).confidence_interval()
    assert rows["daam", "gain"]["low"] == pytest.approx(wanted.low, abs=1e-5)
    assert ("flow", "gain") not in rows


def test_maps_that_agree_do_not_disagree():
    p = np.arange(16.0)[None]
    assert disagreement([p, 2 * p, p**2]) == pytest.approx([0])
    assert disagreement([p, -p]) == pytest.approx([2])
    assert np.isnan(disagreement([p, np.ones((1, 16))])).all()

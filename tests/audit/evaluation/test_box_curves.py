"""PxAP and MaxBoxAccV2 against pixels and boxes, one threshold at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.evaluation.box_curves import (
    CELL,
    LEVELS,
    OVERLAPS,
    THRESHOLDS,
    box_counts,
    max_box_accuracy,
    pixel_average_precision,
    pixel_counts,
)

GRID = (3, 4)
SPAN = st.tuples(st.integers(0, 11), st.integers(1, 12)).map(
    lambda one: (one[0], min(12, one[0] + one[1]))
)
MAPS = st.lists(st.integers(0, 9), min_size=12, max_size=12)
BOX = st.tuples(SPAN, SPAN).map(lambda two: (two[0][0], two[1][0], two[0][1], two[1][1]))


def scaled(p):
    return (p - p.min()) / (p.max() - p.min()) if p.max() > p.min() else np.ones(len(p))


def mask_of(boxes):
    """Boxes in twelfths, on 12 × 12 pixels."""
    mask = np.zeros((12, 12), bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


@given(st.lists(st.tuples(MAPS, st.lists(BOX, min_size=1, max_size=2)), min_size=1, max_size=3))
def test_pxap_is_that_of_all_pixels_together(images):
    counts = np.zeros((2, LEVELS), np.int64)
    values, inside = [], []
    for cells, boxes in images:
        p, mask = np.array(cells, float), mask_of(boxes)
        counts += pixel_counts(p, mask.reshape(3, 4, 4, 3).mean((1, 3)).ravel())
        values.append(scaled(p).reshape(GRID).repeat(4, 0).repeat(3, 1))
        inside.append(mask)
    values, inside = np.stack(values), np.stack(inside)
    wanted, before = 0.0, 0.0
    for level in range(LEVELS - 1, -1, -1):
        shown = values >= level / LEVELS
        if shown.any():
            recall = (shown & inside).sum() / inside.sum()
            wanted += (shown & inside).sum() / shown.sum() * (recall - before)
            before = recall
    assert pixel_average_precision(counts) == pytest.approx(wanted, abs=2 / CELL)
    assert counts.sum() == len(images) * 12 * CELL


def around(shown):
    """Boxes around connected cells, found by walking from cell to cell."""
    left, found = {tuple(cell) for cell in np.argwhere(shown)}, []
    while left:
        todo, part = [left.pop()], []
        while todo:
            y, x = todo.pop()
            part.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            todo += near
        rows, columns = zip(*part, strict=True)
        found.append((min(columns) / 4, min(rows) / 3, (max(columns) + 1) / 4, (max(rows) + 1) / 3))
    return found


def overlap(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


@given(MAPS, st.lists(BOX, min_size=1, max_size=2))
def test_a_box_is_found_at_each_threshold_by_its_best_component(cells, corners):
    p, boxes = np.array(cells, float), np.array(corners, float) / 12
    found = box_counts(p, np.concatenate([boxes, np.full((1, 4), np.nan)]), GRID)
    for step in range(THRESHOLDS):
        parts = around(scaled(p).reshape(GRID) >= step / THRESHOLDS)
        best = max(overlap(part, box) for part in parts for box in boxes)
        for place, least in enumerate(OVERLAPS):
            if abs(best - least) > 1e-9:  # or both round
                assert found[place, step] == (best >= least)


def test_the_best_threshold_is_one_for_all_images_and_overlaps_are_averaged():
    one, other = np.zeros((2, 3, THRESHOLDS), np.int64)
    one[0, 10], one[0, 40], other[0, 40], other[1, 7] = 1, 1, 1, 1
    assert max_box_accuracy(one + other, 2) == pytest.approx((1 + 0.5 + 0) / 3)
    assert np.isnan(max_box_accuracy(one, 0))


def test_a_flat_map_scores_what_the_boxes_area_gives():
    cover = np.array([1, 0.5, 0, 0] * 3)
    assert pixel_average_precision(pixel_counts(np.ones(12), cover)) == pytest.approx(0.375)
    whole = box_counts(np.full(12, 0.2), np.array([[0, 0, 1, 0.6]]), GRID)
    assert whole.sum(1).tolist() == [THRESHOLDS, THRESHOLDS, 0]
    assert np.isnan(pixel_average_precision(pixel_counts(np.ones(12), np.zeros(12))))

"""Images whose label is known from the mark alone."""

import csv
from collections import Counter, defaultdict

import numpy as np
import pytest
from PIL import Image

from pipeline.synthetic.marks import draw_marked, write_marked
from pipeline.synthetic.outlines import MAX_CLASSES
from pipeline.synthetic.shapes import draw_pictures


def test_only_the_mark_is_changed_and_it_has_the_hue_of_the_label():
    plain = draw_pictures(60, MAX_CLASSES, 32, seed=3)
    hues = defaultdict(set)
    for before, after in zip(plain, draw_marked(60, 4, 32, seed=3), strict=True):
        x0, y0, x1, y1 = after.box
        changed = (before.pixels != after.pixels).any(-1)
        inside = np.zeros((32, 32), bool)
        inside[y0:y1, x0:x1] = True
        assert changed[inside].any()
        assert not changed[~inside].any()
        hues[after.label].add(tuple(after.pixels[y0, x0].tolist()))
    assert [len(colours) for colours in hues.values()] == [1] * 4
    assert len(set.union(*hues.values())) == 4


def test_labels_say_nothing_of_shapes_and_marks_lie_anywhere():
    images = 50 * MAX_CLASSES
    shapes, marked = draw_pictures(images, MAX_CLASSES, 32), draw_marked(images, 2, 32)
    pairs = zip(shapes, marked, strict=True)
    both = [(before.label, after.label, after.box) for before, after in pairs]
    for shape in range(MAX_CLASSES):
        labels = Counter(label for own, label, _ in both if own == shape)
        assert 8 <= labels[0] <= 42  # of 50: five standard deviations
    left = np.array([box[0] for *_, box in both])
    assert (np.histogram(left, 5, (0, 27))[0] > images / 10).all()


def test_a_written_set_has_the_boxes_of_its_marks(tmp_path):
    written = write_marked(tmp_path, 12, 3, 32)
    with written.boxes.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert {row["file"].split("/")[0] for row in rows} <= set(written.classes)
    for row, picture in zip(rows, draw_marked(12, 3, 32), strict=True):
        with Image.open(written.images / row["file"]) as image:
            assert (np.asarray(image) == picture.pixels).all()
        assert [int(row[name]) for name in ("x0", "y0", "x1", "y1")] == list(picture.box)


@pytest.mark.parametrize("labels", [1, 99])
def test_labels_that_cannot_be_marked_are_refused(labels):
    with pytest.raises(ValueError, match="marks come in 2 to"):
        next(draw_marked(4, labels))

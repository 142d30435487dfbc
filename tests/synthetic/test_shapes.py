import colorsys
import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng
from PIL import Image

from pipeline.synthetic.shapes import (
    CORNERS,
    Picture,
    Tag,
    colour,
    draw_pictures,
    draw_scene,
    stamp_tag,
    write_shapes,
)

TAG = Tag(label=1, share=0.25, corner="bl")


def _draw(images: int = 64, **options: object) -> list[Picture]:
    return list(draw_pictures(images, **options))  # type: ignore[arg-type]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _extent(changed: np.ndarray) -> tuple[int, int, int, int]:
    """Box of the True cells of (H, W), ends exclusive."""
    ys, xs = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1


def test_the_same_seed_draws_the_same_pictures():
    for one, two in zip(_draw(seed=5, tag=TAG), _draw(seed=5, tag=TAG), strict=True):
        assert (one.pixels == two.pixels).all()
        assert (one.label, one.box, one.tag) == (two.label, two.box, two.tag)


def test_another_seed_draws_other_pictures():
    assert all(
        (one.pixels != two.pixels).any()
        for one, two in zip(_draw(seed=0), _draw(seed=1), strict=True)
    )


def test_pictures_within_a_set_differ():
    assert len({picture.pixels.tobytes() for picture in _draw()}) == 64


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32),
    images=st.integers(20, 40),
    classes=st.integers(2, 10),
    size=st.sampled_from([32, 48, 64, 97]),
)
def test_the_box_is_that_of_the_shape(seed, images, classes, size):
    """What differs from the same scene without the shape lies in the box and reaches its sides."""
    number: Counter[int] = Counter()
    for picture in draw_pictures(images, classes, size, seed):
        number[picture.label] += 1
        scene = draw_scene(default_rng([seed, picture.label, number[picture.label]]), size)
        changed = (picture.pixels != np.asarray(scene)).any(2)
        x0, y0, x1, y1 = picture.box
        inside = np.zeros_like(changed)
        inside[y0:y1, x0:x1] = True
        assert not changed[~inside].any()
        assert np.abs(np.subtract(_extent(changed), picture.box)).max() <= 1
        assert picture.pixels.shape == (size, size, 3)
        assert min(x0, y0) >= 0
        assert max(x1, y1) <= size


def test_the_control_is_the_same_set_without_the_plate():
    for with_tag, without in zip(_draw(seed=3, tag=TAG), _draw(seed=3), strict=True):
        changed = (with_tag.pixels != without.pixels).any(2)
        assert with_tag.box == without.box
        assert without.tag is None
        if with_tag.tag is None:
            assert not changed.any()
        else:
            assert np.abs(np.subtract(_extent(changed), with_tag.tag)).max() <= 1


@settings(max_examples=15)
@given(
    share=st.sampled_from([0.0, 0.02, 0.25, 1.0]),
    corner=st.sampled_from(CORNERS),
    label=st.integers(0, 3),
)
def test_share_class_and_corner_of_the_tag(share, corner, label):
    pictures = _draw(200, classes=4, size=32, tag=Tag(label, share, corner))
    tagged = [picture for picture in pictures if picture.tag]
    assert len(tagged) == round(50 * share)
    assert all(picture.label == label for picture in tagged)
    for picture in tagged:
        assert picture.tag is not None
        x0, y0, x1, y1 = picture.tag
        assert (y1 <= 16) if corner[0] == "t" else (y0 >= 16)
        assert (x1 <= 16) if corner[1] == "l" else (x0 >= 16)


def test_classes_are_balanced_and_in_order():
    labels = [picture.label for picture in _draw(83, classes=8, size=32)]
    assert labels == sorted(labels)
    counts = Counter(labels)
    assert set(counts) == set(range(8))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_places_are_alike_in_all_classes():
    pictures = _draw(800, size=32)
    for label in range(8):
        boxes = np.array([picture.box for picture in pictures if picture.label == label])
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / 32
        assert np.abs(centres.mean(0) - 0.5).max() < 0.06
        assert centres.std(0).min() > 0.05


@pytest.mark.parametrize(
    ("classes", "tag"), [(1, None), (11, None), (4, Tag(label=4)), (4, Tag(corner="middle"))]
)
def test_impossible_sets_are_refused(classes, tag):
    with pytest.raises(ValueError, match=r"classes|label"):
        next(draw_pictures(10, classes=classes, tag=tag))


def test_colours_are_those_of_the_colour_wheel():
    for hue in np.linspace(0, 1, 13):
        expected = 255 * np.array(colorsys.hsv_to_rgb(hue, 0.7, 0.8))
        assert colour(hue, 0.7, 0.8) == pytest.approx(expected)


def test_a_stamp_changes_its_box_only():
    image = Image.new("RGB", (64, 64), (10, 20, 30))
    box = stamp_tag(image, 0.3, "br", (3, 1))
    assert box == (54, 52, 63, 61)
    assert _extent((np.asarray(image) != (10, 20, 30)).any(2)) == box


def test_a_pale_plate_is_the_same_picture_but_for_its_colour():
    pale = Tag(TAG.label, TAG.share, TAG.corner, vividness=0.3)
    for one, two in zip(_draw(seed=3, tag=TAG), _draw(seed=3, tag=pale), strict=True):
        assert one.tag == two.tag
        changed = (one.pixels != two.pixels).any(2)
        if one.tag is None:
            assert not changed.any()
            continue
        x0, y0, x1, y1 = one.tag
        plates = [np.asarray(picture.pixels[y0, x0], float) for picture in (one, two)]
        saturation = [1 - plate.min() / plate.max() for plate in plates]
        assert saturation == pytest.approx([1, 0.3], abs=0.02)
        assert changed[y0:y1, x0:x1].any()
        changed[y0:y1, x0:x1] = False
        assert not changed.any()


def test_the_written_set_is_what_was_drawn(tmp_path):
    written = write_shapes(tmp_path, images=40, size=32, seed=2, tag=TAG)
    pictures = _draw(40, size=32, seed=2, tag=TAG)
    files = [row["file"] for row in _rows(written.boxes)]
    assert sorted(path.name for path in written.images.iterdir()) == list(written.classes)
    assert len(files) == len(list(written.images.rglob("*.png"))) == 40
    tagged = []
    for row, picture in zip(_rows(written.boxes), pictures, strict=True):
        with Image.open(written.images / row["file"]) as image:
            assert (np.asarray(image) == picture.pixels).all()
        assert row["file"].split("/")[0] == written.classes[picture.label]
        assert tuple(int(row[side]) for side in ("x0", "y0", "x1", "y1")) == picture.box
        if picture.tag:
            tagged.append((row["file"], *picture.tag))
    found = _rows(written.tagged)
    assert [(row["file"], *(int(row[s]) for s in ("x0", "y0", "x1", "y1"))) for row in found] == (
        tagged
    )
    assert tagged

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pytest

from pipeline.audit.faults.detection import find_faults

SIZE = 200


def run(**changed):
    """A run whose summary has clean columns but for some."""
    rng = np.random.default_rng(0)
    columns = {
        "row": np.arange(SIZE),
        "status": np.ones(SIZE, np.uint8),
        "label": np.arange(SIZE) % 4,
        "width": rng.integers(300, 600, SIZE),
        "height": rng.integers(300, 600, SIZE),
        "phash": rng.integers(1, 2**63, SIZE),
        "brightness": rng.uniform(0.2, 0.8, SIZE),
        "contrast": np.full(SIZE, 0.4),
        "sharpness": rng.uniform(0.05, 2, SIZE),
    }
    for name, values in changed.items():
        for row, value in values.items():
            columns[name][row] = value
    dataset = pyarrow.dataset.dataset(pa.table(columns))
    return SimpleNamespace(summary=lambda: dataset)


def test_clean_images_have_no_fault():
    assert find_faults(run()) == []


@pytest.mark.parametrize(
    ("column", "values", "statistic", "rows"),
    [
        ("brightness", {7: 0.001, 9: 0.03}, "brightness", [7, 9]),
        ("sharpness", {3: 0.0001}, "sharpness", [3]),
        ("width", {5: 9, 8: 300_000}, "odd_size", [8, 5]),
        ("status", dict.fromkeys(range(20), 2), "quarantined", list(range(20))),
    ],
)
def test_a_fault_is_one_finding_with_its_images(column, values, statistic, rows):
    (found,) = find_faults(run(**{column: values}))
    assert (found.kind, found.statistic, found.class_id) == ("fault", statistic, None)
    assert found.images == len(rows)
    assert [row for row, _ in found.evidence] == rows
    assert str(len(rows)) in found.sentence


def test_duplicates_with_one_label_are_less_grave_than_with_two():
    phash = {10: 1234567, 14: 1234567, 50: 2**62 + 99, 51: 2**62 + 98}
    light = dict.fromkeys(phash, 0.5)
    plain, mixed = find_faults(run(phash=phash, brightness=light, sharpness=light))
    assert (plain.statistic, plain.images, plain.value) == ("near_duplicates", 4, 2)
    assert (mixed.statistic, mixed.images, mixed.severity) == (
        "duplicates_with_other_labels",
        2,
        "high",
    )
    assert mixed.sentence.startswith("2 images in 1 group of near duplicates")
    assert [row for row, _ in mixed.evidence] == [50, 51]
    (only,) = find_faults(run(phash={10: 1234567, 14: 1234567}, brightness=light, sharpness=light))
    assert only.severity == "medium"


def test_what_could_not_be_decoded_has_no_odd_size():
    nothing = {3: 0, 4: 0}
    assert find_faults(run(width=nothing, height=nothing, status={3: 2, 4: 2})) == []


def test_one_image_is_not_images():
    (found,) = find_faults(run(brightness={7: 0.001}))
    assert found.sentence.startswith("1 image is almost black")


@pytest.mark.parametrize("column", ["brightness", "sharpness"])
def test_one_hash_in_another_light_is_no_duplicate(column):
    same = {10: 0.5, 14: 0.5}
    pixels = {"brightness": same, "sharpness": same, column: {10: 0.3, 14: 0.5}}
    assert find_faults(run(phash={10: 1234567, 14: 1234567}, **pixels)) == []


def test_equal_hashes_of_images_that_differ_in_sharpness_are_probable_duplicates():
    phash = {10: 1234567, 14: 1234567, 50: 2**62 + 99, 51: 2**62 + 98}
    light = dict.fromkeys(phash, 0.5)
    sharp = {10: 1.0, 14: 1.26, 50: 1.0, 51: 1.26}
    (found,) = find_faults(run(phash=phash, brightness=light, sharpness=sharp))
    assert (found.statistic, found.images, found.severity) == ("probable_duplicates", 2, "low")
    assert [row for row, _ in found.evidence] == [10, 14]
    apart = find_faults(run(phash=phash, brightness=light, sharpness=sharp | {14: 2.1}))
    assert apart == []
    found = find_faults(run(phash=phash, brightness=light, sharpness=sharp | {51: 1.0}))
    same, probable = sorted(found, key=lambda item: item.statistic)[1:]
    assert (same.statistic, probable.statistic) == ("near_duplicates", "probable_duplicates")
    assert (same.images, probable.images) == (2, 2)

"""Every image counts once, whatever the number of its rows."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.audit.causal.suspects import suspect
from pipeline.audit.faults.detection import find_faults
from pipeline.audit.multi_label.images import first_rows, images_with, labelled_images
from pipeline.store import Run


def test_the_first_row_of_every_image() -> None:
    table = pa.table({"image": [0, 0, 1, 3, 3, 3], "row": range(6)})
    assert first_rows(table)["row"].to_pylist() == [0, 2, 3]


@pytest.mark.parametrize("fixture", ["by_label", "by_prediction"])
def test_images_are_met_once_across_units(request: pytest.FixtureRequest, fixture: str) -> None:
    run: Run = request.getfixturevalue(fixture)
    assert len(run.units) > 1
    index = run.index().to_pandas().drop_duplicates("image")
    found = list(labelled_images(run))
    assert np.concatenate([part.rows for part in found]).tolist() == index["row"].tolist()
    labels = np.concatenate([part.labels.toarray() for part in found])
    assert [np.flatnonzero(own).tolist() for own in labels] == [list(o) for o in index["labels"]]


def test_other_images_do_not_have_the_class(by_label: Run) -> None:
    index = by_label.index().to_pandas().set_index("row")
    for class_id in range(4):
        tested = suspect(by_label, "label", class_id, "tr", least=0.0)
        assert tested.carriers
        others = (*tested.recipients, *tested.donors)
        assert others
        assert not any(class_id in index["labels"][row] for row in others)
        assert not (by_label.logits[:][list(others), class_id] >= 0).any()
        images = index["image"][list(others)]
        assert len(set(images)) == len(images)
        have = set(images_with(by_label, class_id).tolist())
        assert have.isdisjoint(images)
        labelled = {n for n, own in zip(index["image"], index["labels"], strict=True)
                    if class_id in own}  # fmt: skip
        assert labelled <= have


def test_rows_of_an_image_are_no_duplicates(by_label: Run) -> None:
    assert by_label.spec.rows > by_label.spec.images
    assert not find_faults(by_label)

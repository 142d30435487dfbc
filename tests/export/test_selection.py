import pyarrow.compute as pc
import pytest

from pipeline.export.selection import select_images


@pytest.mark.parametrize("most", [1, 3, 10_000])
def test_every_class_gives_as_many_as_it_has_up_to_the_limit(run, most):
    usable = run.summary().to_table(filter=pc.field("status") == 1)
    chosen = select_images(run, most)
    counts = dict(zip(*(column.to_pylist() for column in _counts(usable["label"])), strict=True))
    found = dict(zip(*(column.to_pylist() for column in _counts(chosen["class"])), strict=True))
    assert found == {label: min(most, count) for label, count in counts.items()}
    assert chosen["row"].to_pylist() == sorted(set(chosen["row"].to_pylist()))


def test_uris_belong_to_their_rows(run):
    uris = run.index()["uri"].to_pylist()
    for entry in select_images(run, 2).to_pylist():
        assert entry["uri"] == uris[entry["row"]]


def _counts(column):
    found = pc.value_counts(column)
    return found.field("values"), found.field("counts")

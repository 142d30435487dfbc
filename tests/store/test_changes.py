"""A changed dataset is told by what has changed."""

from pathlib import Path

import pyarrow as pa

from pipeline.images import INDEX_SCHEMA
from pipeline.store import Spool
from pipeline.store.changes import what_changed
from tests.store.runs import spooled


def scan(images: dict[str, int]) -> Spool:
    columns = {
        "row": range(len(images)),
        "uri": list(images),
        "offset": pa.nulls(len(images)),
        "length": list(images.values()),
        "label": pa.nulls(len(images)),
        "split": pa.nulls(len(images)),
    }
    arrays = [pa.array(columns[f.name], f.type) for f in INDEX_SCHEMA]
    return spooled(pa.Table.from_arrays(arrays, schema=INDEX_SCHEMA))


def test_every_kind_of_change_is_counted_with_examples() -> None:
    old = scan({f"{number}.jpg": number for number in range(10)})
    new = scan({f"{number}.jpg": max(number, 6) for number in range(4, 16)})
    assert what_changed(old.store, new.store) == (
        "4 removed ('0.jpg', '1.jpg', '2.jpg', …), 6 added ('10.jpg', '11.jpg', '12.jpg', …), "
        "2 changed ('4.jpg', '5.jpg')"
    )


def test_another_order_is_a_change(tmp_path: Path) -> None:
    old, new = scan({"a": 1, "b": 2}), scan({"b": 2, "a": 1})
    assert what_changed(old.store, new.store) == "its boxes or the order of its images differ"


def test_hostile_names_are_escaped() -> None:
    old, new = scan({"a": 1}), scan({"a": 1, "\x1b[2J" + "x" * 500: 1})
    told = what_changed(old.store, new.store)
    assert told == "1 added ('\\x1b[2J" + "x" * 76 + "')"

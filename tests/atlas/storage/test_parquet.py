import io

import numpy as np
import pyarrow.parquet as pq

from pipeline.atlas.storage.parquet import class_bytes


def test_a_row_per_class_and_null_where_nothing_is_defined():
    flat = {"count": np.array([3, 0]), "accuracy": np.array([0.5, np.nan])}
    table = pq.read_table(io.BytesIO(class_bytes(("cat", "dog"), [], flat)))
    assert table.to_pylist() == [
        {"class": 0, "name": "cat", "count": 3, "accuracy": 0.5},
        {"class": 1, "name": "dog", "count": 0, "accuracy": None},
    ]


def test_classes_that_are_divided_say_of_what():
    divided = [("cat", "right"), ("cat", "wrong")]
    table = pq.read_table(io.BytesIO(class_bytes(("cat, right", "cat, wrong"), divided, {})))
    assert table["class_name"].to_pylist() == ["cat", "cat"]
    assert table["group"].to_pylist() == ["right", "wrong"]

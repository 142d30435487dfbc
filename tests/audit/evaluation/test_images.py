"""The images on which methods agree least."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from pipeline.audit.evaluation.images import SHOWN, images_table
from pipeline.audit.evaluation.worker import MAPS_SCHEMA


def test_images_are_ordered_by_the_mean_correlation_of_all_pairs_of_methods():
    random = np.random.default_rng(0)
    names = ("daam", "rollout", "gradcam", "edges", "random", "occlusion")
    maps = {(row, name): random.random(9) for row in range(12) for name in names}
    rows = [
        {"row": row, "map": name, "cells": cells.tolist()} for (row, name), cells in maps.items()
    ]
    rows += [{"row": 99, "map": "daam", "cells": [1.0] * 9}]  # nothing to compare it with
    found = images_table(pa.Table.from_pylist(rows, schema=MAPS_SCHEMA)).to_pylist()
    wanted = {}
    for row in range(12):
        one, two, three = (maps[row, name] for name in names[:3])
        pairs = ((one, two), (one, three), (two, three))
        wanted[row] = 1 - np.mean([spearmanr(*pair).statistic for pair in pairs])
    order = sorted(wanted, key=lambda row: -wanted[row])[:SHOWN]
    assert list(dict.fromkeys(item["row"] for item in found)) == order
    assert {item["map"] for item in found} == set(names)
    for item in found:
        assert item["disagreement"] == pytest.approx(wanted[item["row"]], abs=1e-6)

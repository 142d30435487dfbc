"""Mean flows of two runs: of the whole for the same class mix, and of classes that differ."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.atlas import Atlas
from pipeline.audit.compare.grids import coarsen, common_grid
from pipeline.audit.compare.matching import matched_classes
from pipeline.audit.compare.standardisation import standardise
from pipeline.audit.stats.estimates import LEAST_IMAGES

MAPPED = 12
"""Classes whose mean flows are kept, those that differ most."""

MAPS_SCHEMA = pa.schema(
    [
        pa.field("class", pa.int32()),
        pa.field("class_name", pa.string()),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("flow", pa.list_(pa.float32()), nullable=False),
        pa.field("other_flow", pa.list_(pa.float32()), nullable=False),
    ]
)
"""Mean accumulated flows over all layers, each of sum 1, row by row of the grid ``height`` ×
``width``, the coarser of the two runs' grids. ``class`` null is the whole, for the same class mix
(see :mod:`pipeline.audit.compare.standardisation`)."""


def mean_flows(one: Atlas, other: Atlas, classes: Sequence[int]) -> pa.Table:
    """Return ``MAPS_SCHEMA``: the whole, then the first ``MAPPED`` of ``classes``, in their order.

    The whole is left out where there are too few images with a flow to standardise.
    """
    here, there = matched_classes(one.names, other.names)
    images = [atlas.weight_with_mass[chosen] for atlas, chosen in ((one, here), (other, there))]
    flows = [
        np.nan_to_num(atlas.flow_mean[chosen, -1])
        for atlas, chosen in ((one, here), (other, there))
    ]
    grid = common_grid(flows[0].shape[1:], flows[1].shape[1:])
    first, second = (coarsen(values, grid) for values in flows)
    rows = []
    same = standardise(images[0][:, None], images[1][:, None])
    if same is not None and min(same.effective, same.other_effective) >= LEAST_IMAGES:
        whole = (np.tensordot(same.weights, values, 1) for values in (first, second))
        rows.append(_row(None, None, *whole))
    place = {number: i for i, number in enumerate(here.tolist())}
    for number in classes[:MAPPED]:
        i = place[number]
        rows.append(_row(number, one.names[number], first[i], second[i]))
    return pa.Table.from_pylist(rows, schema=MAPS_SCHEMA)


def _row(
    number: int | None, name: str | None, flow: NDArray[np.float64], other: NDArray[np.float64]
) -> dict[str, Any]:
    height, width = flow.shape
    return {
        "class": number,
        "class_name": name,
        "height": height,
        "width": width,
        "flow": flow.ravel().astype(np.float32),
        "other_flow": other.ravel().astype(np.float32),
    }

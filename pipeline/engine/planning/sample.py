"""``Sample``: a run of some images of another, evenly spaced, to measure what they need."""

import math
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from obstore.store import ObjectStore

from pipeline.config import RunConfig
from pipeline.engine.preparation import Prepared
from pipeline.images import PART_ROWS
from pipeline.store import RunSpec, Spool, create_run, open_store
from pipeline.store.index import box_rows, index_take


class Sample:
    """At most ``most`` images of a prepared run, evenly spaced over its index.

    Parameters
    ----------
    config : RunConfig
        Of the whole run; its index is there if ``prepared.parts`` is None.
    prepared : Prepared
    most : int
        Different images. What has more rows repeats them.
    """

    def __init__(self, config: RunConfig, prepared: Prepared, most: int) -> None:
        self._config, self._prepared = config, prepared
        count = min(most, prepared.spec.rows)
        spaced = np.linspace(0, prepared.spec.rows - 1, count)
        self._taken: NDArray[np.int64] = np.unique(spaced.astype(np.int64))

    def __len__(self) -> int:
        """How many different images there are."""
        return len(self._taken)

    @property
    def spec(self) -> RunSpec:
        """The specification of the whole run."""
        return self._prepared.spec

    def create(self, uri: str, rows: int, unit_rows: int, **identity: Any) -> RunSpec:
        """Write a run of ``rows`` images, all but its units; return its specification.

        Other units than the run's change bytes of no image. ``identity`` are sections of the
        configuration (``flow={…}``) in which the run differs, by field.
        """
        content = dict(self.spec.config)
        for section, changes in identity.items():
            content[section] = {**content[section], **changes}
        spec = replace(
            self.spec,
            config=content,
            rows=rows,
            unit_rows=min(self.spec.unit_rows, unit_rows),
            fingerprint="sample",
        )
        spool = Spool()
        index, boxes = (_repeated(table, len(self), rows) for table in self._tables)
        for part in range(math.ceil(rows / PART_ROWS)):
            spool.add(part, _part(index, part), _part(boxes, part))
        spool.finish({})
        create_run(open_store(uri, create=True), spec, spool)
        return spec

    @cached_property
    def _tables(self) -> tuple[pa.Table, pa.Table]:
        """Index and boxes of the images, numbered 0, 1, 2, …."""
        parts, rows = self._prepared.parts, self._taken
        store = parts.store if parts else open_store(self._config.run)
        boxes = [_boxes(store, int(row)) for row in rows]
        return tuple(
            table.set_column(0, table.schema.field(0), _numbers(rows, table))
            for table in (index_take(store, rows.tolist()), pa.concat_tables(boxes))
        )


def _part(table: pa.Table, part: int) -> pa.Table:
    row, lo = pc.field("row"), part * PART_ROWS
    return table.filter((row >= lo) & (row < lo + PART_ROWS))


def _boxes(store: ObjectStore, row: int) -> pa.Table:
    return box_rows(store, row, row + 1)


def _numbers(rows: NDArray[np.int64], table: pa.Table) -> pa.Array:
    return pa.array(np.searchsorted(rows, table["row"].to_numpy()), pa.int64())


def _repeated(table: pa.Table, count: int, rows: int) -> pa.Table:
    """Return the first ``rows`` rows of a table of ``count`` images that is repeated."""
    times = -(-rows // count)
    taken = np.tile(np.arange(len(table)), times)
    round_ = np.repeat(np.arange(times, dtype=np.int64), len(table))
    numbers = table["row"].to_numpy()[taken] + round_ * count
    columns = {"row": numbers}
    if "image" in table.column_names:  # of several labels: another image each time
        images = table["image"].to_numpy()
        columns["image"] = images[taken] + round_ * (1 + images.max(initial=0))
    table = table.take(taken)
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), pa.array(values, pa.int64()))
    return table.filter(pa.array(numbers < rows))

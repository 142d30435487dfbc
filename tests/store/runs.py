"""A run of random maps, written through the store alone."""

import numpy as np
import pyarrow as pa

from pipeline.config import RunConfig
from pipeline.images import BOXES_SCHEMA, INDEX_SCHEMA, PART_ROWS
from pipeline.store import Column, RunSpec, Spool, Unit, UnitData
from pipeline.store.layout import summary_schema

COLUMNS = (Column("mass_l00", "mass"), Column("gini_l00", "fraction"))


def spec_of(rows: int = 50, unit_rows: int = 16, **changes: object) -> RunSpec:
    """Return a run of two layers on a 3×4 grid."""
    config = RunConfig.model_validate(
        {"run": "", "dataset": {"source": "a"}, "model": {"name": "m"}}
    )
    fields: dict[str, object] = {
        "config": config.identity(),
        "config_hash": config.hash(),
        "code_version": "1",
        "weights_sha256": "w",
        "fingerprint": "f",
        "root": "/images",
        "rows": rows,
        "unit_rows": unit_rows,
        "layers": ("blocks.0", "blocks.1"),
        "grid": (3, 4),
        "input": {"size": [32, 32]},
        "classes": ("a", "b"),
        "columns": COLUMNS,
    }
    return RunSpec(**{**fields, **changes})  # type: ignore[arg-type]


def index_of(spec: RunSpec) -> Spool:
    """Return an index without labels, and no boxes."""
    columns = [pa.array(range(spec.rows), pa.int64()), pa.array(map(str, range(spec.rows)))]
    columns += [pa.nulls(spec.rows, field.type) for field in list(INDEX_SCHEMA)[2:]]
    return spooled(pa.Table.from_arrays(columns, schema=INDEX_SCHEMA))


def spooled(rows: pa.Table, boxes: pa.Table | None = None) -> Spool:
    """Return an index as a scan would leave it; boxes are those of the first part."""
    spool, none = Spool(), BOXES_SCHEMA.empty_table()
    for part, first in enumerate(range(0, len(rows), PART_ROWS)):
        own = boxes if boxes is not None and part == 0 else none
        spool.add(part, rows.slice(first, PART_ROWS), own)
    spool.finish({})
    return spool


def data_of(unit: Unit, spec: RunSpec, quarantined: tuple[int, ...] = ()) -> UnitData:
    """Return random maps of a unit; the rows ``quarantined`` (within the unit) hold zeros."""
    rng = np.random.default_rng(unit.id)
    maps = rng.random((len(unit), len(spec.layers), *spec.grid), dtype=np.float32)
    maps *= np.float32(10.0) ** rng.integers(-12, 3, (len(unit), len(spec.layers), 1, 1))
    status = np.ones(len(unit), np.uint8)
    status[list(quarantined)], maps[list(quarantined)] = 2, 0
    schema = summary_schema(spec.columns)
    columns = {
        "row": pa.array(range(unit.lo, unit.hi), pa.int64()),
        "status": pa.array(status),
        "reason": pa.array([["", None, "empty"][s] for s in status], pa.string()),
        "mass_l00": pa.array(maps[:, 0].sum((1, 2)), mask=status == 2),
    }
    table = pa.table(
        {f.name: columns.get(f.name, pa.nulls(len(unit), f.type)) for f in schema}, schema=schema
    )
    more = {}
    if spec.label_maps:
        more["label_maps"] = np.flip(maps, axis=3).copy()
    if spec.channels:
        more["features"] = rng.standard_normal((len(unit), spec.channels)).astype(np.float32)
    return UnitData(maps, status, table, **more)

"""The commit protocol: data first, the receipt last, every step repeatable."""

import json
import platform
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from obstore.store import ObjectStore

from pipeline.errors import QuarantineExceeded, RunConflict, RunIncomplete
from pipeline.images.reasons import listed
from pipeline.nouns import part_of
from pipeline.store.changes import what_changed
from pipeline.store.disk_full import store_full_errors
from pipeline.store.index import Spool
from pipeline.store.layout import (
    CHANNEL_COUNTS,
    CHANNEL_PEAKS,
    FEATURES,
    HEADS,
    LOGITS,
    MANIFEST,
    MAPS,
    MAPS_LABEL,
    RUN,
    STATUS,
    SUCCESS,
    RunSpec,
    Status,
    Unit,
    receipt_path,
    summary_path,
)
from pipeline.store.objects import delete, exists, read, sweep, write, write_once
from pipeline.store.parquet import parquet_bytes
from pipeline.store.receipts import (
    Receipt,
    load_receipt,
    stored_object,
    valid_receipt,
    valid_receipts,
)


@dataclass(frozen=True)
class UnitData:
    """What a unit yields: raw maps (n, L, h, w) float32, status (n,) uint8, its Parquet part.

    ``label_maps``, like ``maps``, ``features`` (n, C) and ``logits`` (n, K) float32, ``heads``
    (n, L, H, S) and ``channel_peaks`` (n, L, C) float16, and ``channel_counts`` (L, C, bins) of all
    usable images belong to runs that store them.
    """

    maps: NDArray[np.float32]
    status: NDArray[np.uint8]
    summary: pa.Table
    label_maps: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None
    logits: NDArray[np.float32] | None = None
    heads: NDArray[np.float16] | None = None
    channel_peaks: NDArray[np.float16] | None = None
    channel_counts: NDArray[np.uint32] | None = None

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What goes into the Zarr arrays, by name."""
        known: dict[str, NDArray[Any] | None] = {
            MAPS: self.maps,
            STATUS: self.status,
            MAPS_LABEL: self.label_maps,
            FEATURES: self.features,
            LOGITS: self.logits,
            HEADS: self.heads,
            CHANNEL_PEAKS: self.channel_peaks,
            CHANNEL_COUNTS: self.channel_counts,
        }
        return {name: values for name, values in known.items() if values is not None}


def create_run(store: ObjectStore, spec: RunSpec, index: Spool | None) -> None:
    """Write run.json, the index and the arrays' metadata, or check that they are this very run's.

    ``index`` is None if the run is known to hold it.

    Raises
    ------
    RunConflict
        Another configuration, dataset or model wrote this run; the message names what differs.
    """
    sweep(store)
    content = json.dumps(spec.to_json(), indent=1, sort_keys=True).encode()
    if not write_once(store, RUN, content):
        stored = load_spec(store)
        if index and stored.fingerprint != spec.fingerprint and same_source(stored, spec):
            raise RunConflict(
                "the dataset has changed since this run began: "
                f"{what_changed(store, index.store)}; choose another run folder, or restore it"
            )
        check_same_run(stored, spec)
    if index:
        index.move_into(store)
    if not all(exists(store, path) for path in spec.metadata_paths):
        from pipeline.store.arrays import create_arrays  # Zarr, which a finished run does not need

        create_arrays(store, spec)


def load_spec(store: ObjectStore) -> RunSpec:
    """Read run.json; RunConflict if it is missing or of another format."""
    try:
        return RunSpec.from_json(json.loads(read(store, RUN)))
    except FileNotFoundError:
        raise RunConflict(f"there is no run here: {RUN} is missing") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RunConflict(f"{RUN} cannot be read by this version: {error}") from error


def check_same_run(stored: RunSpec, wanted: RunSpec) -> None:
    """Raise RunConflict, naming every differing field, unless both describe the same data."""
    if stored.hash == wanted.hash:
        return
    old, new = _flat(stored.to_json()), _flat(wanted.to_json())
    ignored = {"code_version", "config_hash", "padded"}
    changed = sorted(
        key
        for key in old.keys() | new.keys()
        if key not in ignored and old.get(key) != new.get(key)
    )
    differences = ", ".join(
        f"{key} (was {_short(old.get(key))}, is {_short(new.get(key))})" for key in changed
    )
    raise RunConflict(
        f"this run was computed with other settings: {differences}; choose another run folder"
    )


def same_source(stored: RunSpec, wanted: RunSpec) -> bool:
    """Return whether both read the dataset in the same way; what it held may still differ."""
    return stored.root == wanted.root and stored.config["dataset"] == wanted.config["dataset"]


def _flat(content: object, prefix: str = "") -> dict[str, object]:
    if not isinstance(content, Mapping):
        return {prefix: content}
    return {
        key: value
        for name, part in content.items()
        for key, value in _flat(part, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def commit_unit(
    store: ObjectStore,
    spec: RunSpec,
    unit: Unit,
    data: UnitData,
    *,
    attempt: int = 1,
    seconds: Mapping[str, float] | None = None,
    memory: int = 0,
) -> Receipt:
    """Store a computed unit; safe to repeat, and to be overtaken by another worker of the run.

    Objects are replaced whole and by the same bytes, and nothing is ever deleted, so that no step
    of a worker that outlives its driver can undo what another has finished. A receipt that does
    not keep its promise stays until its unit is whole again. ``seconds`` gains ``commit``: all but
    the receipt itself.

    Raises
    ------
    StoreFull
        There is no space left; what is done stays as it is.
    """
    if done := valid_receipt(store, spec, unit):
        return done
    from pipeline.store.arrays import write_shards

    begin = time.perf_counter()
    with store_full_errors():
        objects = write_shards(store, spec, unit, data.arrays)
        part = parquet_bytes(data.summary)
        write(store, summary_path(unit.id), part)
        reasons = Counter(reason for reason in data.summary["reason"].to_pylist() if reason)
        spent = round(time.perf_counter() - begin, 4)
        receipt = Receipt(
            unit=unit.id,
            lo=unit.lo,
            hi=unit.hi,
            run_hash=spec.hash,
            objects=(*objects, stored_object(summary_path(unit.id), part)),
            ok=int((data.status == Status.OK).sum()),
            quarantined=int((data.status == Status.QUARANTINED).sum()),
            reasons=dict(sorted(reasons.items())),
            attempt=attempt,
            host=platform.node(),
            seconds={**(seconds or {}), "commit": spent},
            memory=memory,
        )
        return _put_receipt(store, receipt)


def _put_receipt(store: ObjectStore, receipt: Receipt) -> Receipt:
    """Write a receipt, unless another worker's says the same; replace one that does not."""
    path = receipt_path(receipt.unit)
    if not write_once(store, path, receipt.to_bytes()):
        present = load_receipt(store, receipt.unit)
        if present and present.promise == receipt.promise:
            return present
        write(store, path, receipt.to_bytes())
    return receipt


def reopen(store: ObjectStore) -> None:
    """Take the mark of completion off a run of which units have to be computed again."""
    delete(store, SUCCESS)


@dataclass(frozen=True)
class Totals:
    """Counts of a finished run."""

    rows: int
    ok: int
    quarantined: int
    reasons: Mapping[str, int]


def finalize(store: ObjectStore, spec: RunSpec, *, quarantine_limit: float) -> Totals:
    """Write the manifest and ``_SUCCESS`` once every unit is done.

    Raises
    ------
    RunIncomplete
        Units are missing.
    QuarantineExceeded
        More than ``quarantine_limit`` of the rows were quarantined; the data stay as they are.
    """
    receipts = valid_receipts(store, spec)
    missing = [unit.id for unit in spec.units if unit.id not in receipts]
    if missing:
        raise RunIncomplete(
            f"{part_of(len(missing), len(spec.units), 'unit')} not done (first: {missing[0]}); "
            "run the same flowatlas flows command again"
        )
    ordered = [receipts[unit.id] for unit in spec.units]
    reasons: Counter[str] = Counter()
    for receipt in ordered:
        reasons.update(receipt.reasons)
    totals = Totals(
        rows=spec.rows,
        ok=sum(receipt.ok for receipt in ordered),
        quarantined=sum(receipt.quarantined for receipt in ordered),
        reasons=dict(reasons.most_common()),
    )
    if totals.quarantined > quarantine_limit * totals.rows:
        raise QuarantineExceeded(
            f"{totals.quarantined} of {totals.rows} "
            f"{'rows' if spec.multi_label else 'images'} were quarantined "
            f"({listed(totals.reasons)}), more than "
            f"limits.quarantine = {quarantine_limit:g}; look at summary/*.parquet, then fix the "
            "dataset or raise the limit and run again"
        )
    manifest = {
        "run": spec.hash,
        "rows": totals.rows,
        "ok": totals.ok,
        "quarantined": totals.quarantined,
        "reasons": dict(sorted(totals.reasons.items())),
        "objects": [[o.path, o.size, o.blake2b] for r in ordered for o in r.objects],
    }
    sweep(store)
    # Without indentation: Python would write 10⁵ units' objects twenty times slower.
    write(store, MANIFEST, json.dumps(manifest, sort_keys=True).encode())
    write(store, SUCCESS, b"")
    return totals

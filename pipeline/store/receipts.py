"""Receipts: the small JSON that is written last and makes a unit done."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from obstore.store import ObjectStore

from pipeline.store.layout import FLOWS, RunSpec, Unit, receipt_path, summary_path
from pipeline.store.objects import read, size, sizes

_log = logging.getLogger(__name__)

_READERS = 64
"""Receipts read at once: enough to hide an object store's latency."""

_PART = 64
"""Most receipts that are handed to a thread at once."""


@dataclass(frozen=True)
class StoredObject:
    """One object of a unit: path in the run, size in bytes, blake2b-128 in hex."""

    path: str
    size: int
    blake2b: str


def stored_object(path: str, content: bytes) -> StoredObject:
    """Return the receipt's line for an object."""
    return StoredObject(path, len(content), hashlib.blake2b(content, digest_size=16).hexdigest())


@dataclass(frozen=True)
class Receipt:
    """What a finished unit says of itself.

    ``attempt``, ``host``, ``seconds`` (stage → s) and ``memory`` (the most its worker had held by
    then, in bytes) say how it went and may differ between two runs of the same configuration;
    everything else is determined by the run.
    """

    unit: int
    lo: int
    hi: int
    run_hash: str
    objects: tuple[StoredObject, ...]
    ok: int
    quarantined: int
    reasons: Mapping[str, int]
    attempt: int = 1
    host: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    memory: int = 0

    def to_bytes(self) -> bytes:
        """Return the JSON that is stored."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()

    @property
    def promise(self) -> "Receipt":
        """What the run determines of the receipt: without how it went."""
        return replace(self, attempt=1, host="", seconds={}, memory=0)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Receipt":
        """Inverse of :meth:`to_bytes`; ValueError for anything that is not a receipt."""
        try:
            fields: dict[str, Any] = json.loads(content)
            fields["objects"] = tuple(StoredObject(**item) for item in fields["objects"])
            return cls(**fields)
        except (KeyError, TypeError, UnicodeDecodeError) as error:
            raise ValueError(f"not a receipt: {error}") from error


def valid_receipts(store: ObjectStore, spec: RunSpec) -> dict[int, Receipt]:
    """Return unit → receipt for every unit that is done.

    A receipt counts if it belongs to this run and each of its objects has the stated size. Costs
    a listing per array and two more, side by side, and one read per receipt, whatever the number
    of images.
    """
    units, run_hash = spec.units, spec.hash
    arrays = (f"{FLOWS}/{name}" for name in (*spec.arrays, *spec.unit_arrays))
    stored = sizes(store, "receipts", "summary", *arrays)
    listed = [unit for unit in units if receipt_path(unit.id) in stored]

    def check(some: Sequence[Unit]) -> list[Receipt]:
        found = [(unit, load_receipt(store, unit.id)) for unit in some]
        return [
            receipt
            for unit, receipt in found
            if receipt and _fits(receipt, spec, unit, run_hash, stored)
        ]

    # In parts, because a pool keeps something for every piece of work it is handed.
    part = min(_PART, max(1, len(listed) // _READERS))
    parts = [listed[start : start + part] for start in range(0, len(listed), part)]
    with ThreadPoolExecutor(_READERS) as readers:
        valid = {receipt.unit: receipt for some in readers.map(check, parts) for receipt in some}
    if len(valid) < len(listed):
        torn = len(listed) - len(valid)
        _log.info("%d units have receipts or objects that do not fit: not done", torn)
    return valid


def valid_receipt(store: ObjectStore, spec: RunSpec, unit: Unit) -> Receipt | None:
    """Return the receipt of one unit if it counts (see :func:`valid_receipts`), else None."""
    receipt = load_receipt(store, unit.id)
    if receipt is None:
        return None
    stored = {item.path: size(store, item.path) for item in receipt.objects}
    return receipt if _fits(receipt, spec, unit, spec.hash, stored) else None


def load_receipt(store: ObjectStore, unit: int) -> Receipt | None:
    """Return a unit's receipt, None if there is none or it cannot be read as one."""
    try:
        return Receipt.from_bytes(read(store, receipt_path(unit)))
    except (FileNotFoundError, ValueError):
        return None


def _fits(
    receipt: Receipt, spec: RunSpec, unit: Unit, run_hash: str, stored: Mapping[str, int | None]
) -> bool:
    return (
        receipt.run_hash == run_hash
        and (receipt.unit, receipt.lo, receipt.hi) == (unit.id, unit.lo, unit.hi)
        and {item.path for item in receipt.objects}
        == {*spec.shard_paths(unit.id).values(), summary_path(unit.id)}
        and all(stored.get(item.path) == item.size for item in receipt.objects)
    )

"""Whether everything that the receipts promise is there."""

import hashlib
from dataclasses import dataclass

from obstore.store import ObjectStore

from pipeline.store.commit import reopen
from pipeline.store.layout import RunSpec, Unit, receipt_path
from pipeline.store.objects import delete, exists, read
from pipeline.store.receipts import Receipt, load_receipt, valid_receipts


@dataclass(frozen=True)
class Problem:
    """Something wrong with a unit; the next run of the same configuration recomputes it."""

    unit: int
    what: str


@dataclass(frozen=True)
class Verification:
    """How many units are done, and what is wrong with the others (missing ones included)."""

    units: int
    done: int
    problems: tuple[Problem, ...]


def verify(store: ObjectStore, spec: RunSpec, *, deep: bool = False) -> Verification:
    """Check receipts against the objects' sizes, with ``deep`` also against their hashes.

    A unit that fails the deep check loses its receipt, so that the next run computes it anew.
    """
    receipts = valid_receipts(store, spec)
    problems = []
    for unit in spec.units:
        receipt = receipts.get(unit.id)
        if receipt is None:
            problems.append(Problem(unit.id, _why_not_done(store, spec, unit)))
        elif deep and (rotten := _rotten(store, receipt)):
            delete(store, receipt_path(unit.id))
            reopen(store)
            problems.append(
                Problem(unit.id, f"{', '.join(rotten)}: content is not what was written")
            )
    return Verification(len(spec.units), len(spec.units) - len(problems), tuple(problems))


def _why_not_done(store: ObjectStore, spec: RunSpec, unit: Unit) -> str:
    receipt = load_receipt(store, unit.id)
    if receipt is None:
        there = exists(store, receipt_path(unit.id))
        return "its receipt cannot be read" if there else "not computed yet"
    if receipt.run_hash != spec.hash:
        return "its receipt belongs to another configuration"
    return "an object is missing or has another size than its receipt says"


def _rotten(store: ObjectStore, receipt: Receipt) -> list[str]:
    """Return the paths whose bytes do not have the receipt's hash."""
    return [
        item.path
        for item in receipt.objects
        if hashlib.blake2b(read(store, item.path), digest_size=16).hexdigest() != item.blake2b
    ]

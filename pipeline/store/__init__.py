"""The run on disk: one layout for local folders and object stores, receipts last."""

from pipeline.store.commit import Totals, UnitData, commit_unit, create_run, finalize, reopen
from pipeline.store.layout import Column, RunSpec, Status, Unit
from pipeline.store.lock import RunLock
from pipeline.store.objects import open_store
from pipeline.store.reader import Run, open_run
from pipeline.store.receipts import Receipt, valid_receipts
from pipeline.store.verify import Problem, Verification, verify

__all__ = [
    "Column",
    "Problem",
    "Receipt",
    "Run",
    "RunLock",
    "RunSpec",
    "Status",
    "Totals",
    "Unit",
    "UnitData",
    "Verification",
    "commit_unit",
    "create_run",
    "finalize",
    "open_run",
    "open_store",
    "reopen",
    "valid_receipts",
    "verify",
]

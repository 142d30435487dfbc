"""The run on disk: one layout for local folders and object stores, receipts last."""

from typing import TYPE_CHECKING

from pipeline.lazy_exports import lazy_exports

if TYPE_CHECKING:
    import pipeline.api as api
    from pipeline.store.commit import (
        Totals,
        UnitData,
        commit_unit,
        create_run,
        finalize,
        load_spec,
        reopen,
    )
    from pipeline.store.disk_full import store_full_errors
    from pipeline.store.index import Spool, stored_scan
    from pipeline.store.layout import Column, RunSpec, Status, Unit
    from pipeline.store.lock import RunLock
    from pipeline.store.objects import is_run, open_store
    from pipeline.store.reader import Run
    from pipeline.store.receipts import Receipt, valid_receipts
    from pipeline.store.verification import Problem, Verification, verify
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "commit": (
                "Totals",
                "UnitData",
                "commit_unit",
                "create_run",
                "finalize",
                "load_spec",
                "reopen",
            ),
            "disk_full": ("store_full_errors",),
            "index": ("Spool", "stored_scan"),
            "layout": ("Column", "RunSpec", "Status", "Unit"),
            "lock": ("RunLock",),
            "objects": ("is_run", "open_store"),
            "reader": ("Run",),
            "receipts": ("Receipt", "valid_receipts"),
            "verification": ("Problem", "Verification", "verify"),
        },
    )

__all__ = [
    "Column",
    "Problem",
    "Receipt",
    "Run",
    "RunLock",
    "RunSpec",
    "Spool",
    "Status",
    "Totals",
    "Unit",
    "UnitData",
    "Verification",
    "commit_unit",
    "create_run",
    "finalize",
    "is_run",
    "load_spec",
    "open_run",
    "open_store",
    "reopen",
    "store_full_errors",
    "stored_scan",
    "valid_receipts",
    "verify",
]


def open_run(uri: str) -> "api.Run":
    """Open a run as a person uses it: :func:`pipeline.api.open_run`.

    The one import that points upwards: scripts import it from here.
    """
    import pipeline.api as api

    return api.open_run(uri)

"""The state of an unfinished run, kept so that the units that are added later are all to be read.

A state belongs to the units it was made of: if any of them was computed again with another
result, or anything else differs, it is of no use and is discarded. A finished run has no state:
it cannot grow.
"""

import io
import json
import logging
from collections.abc import Mapping

import numpy as np

from pipeline.atlas import state
from pipeline.atlas.request import Order
from pipeline.atlas.state import State
from pipeline.atlas.statistics.bootstrap import REPLICATES
from pipeline.config import content_hash
from pipeline.store import Run
from pipeline.store.objects import delete, sizes
from pipeline.store.receipts import Receipt

_log = logging.getLogger(__name__)

FORMAT = 3
_META = "meta.json"


def unit_hash(receipt: Receipt) -> str:
    """Return what identifies the data of a unit: not when and where they were computed."""
    return content_hash([[item.path, item.blake2b] for item in receipt.objects])


def load(
    run: Run, folder: str, order: Order, units: Mapping[int, str]
) -> tuple[State, frozenset[int]] | None:
    """Return a stored state and its units, None if there is none that fits.

    Parameters
    ----------
    units : unit → :func:`unit_hash`, of all units that are done
    """
    try:
        meta = json.loads(run.read(f"{folder}/{_META}"))
        stored: dict[int, str] = {int(unit): own for unit, own in meta["units"].items()}
        if meta["key"] != _key(run, order) or not stored.items() <= units.items():
            _log.info("%s is of other units or of another request: not used", folder)
            return None
        if not run.exists(f"{order.pooled}/zarr.json"):
            _log.info("%s has lost its array of maps: not used", folder)
            return None
        packed = {
            name: np.load(io.BytesIO(run.read(f"{folder}/{name}.npy")), allow_pickle=False)
            for name in meta["arrays"]
        }
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, AttributeError) as error:
        _log.info("%s cannot be read (%s): not used", folder, error)
        return None
    return state.unpack(run.spec, order.tables.cells, packed), frozenset(stored)


def save(run: Run, folder: str, order: Order, total: State, units: Mapping[int, str]) -> None:
    """Store a state in place of an earlier one; what makes it valid is written last."""
    discard(run, folder)
    packed = state.pack(total)
    for name, array in packed.items():
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        run.write(f"{folder}/{name}.npy", content.getvalue())
    meta = {"key": _key(run, order), "units": dict(units), "arrays": sorted(packed)}
    run.write(f"{folder}/{_META}", json.dumps(meta, indent=1, sort_keys=True).encode())


def discard(run: Run, folder: str) -> None:
    """Remove a stored state, what makes it valid first."""
    delete(run.store, f"{folder}/{_META}")
    for path in sizes(run.store, folder):
        delete(run.store, path)


def _key(run: Run, order: Order) -> str:
    return content_hash(
        {
            "format": FORMAT,
            "run": run.spec.hash,
            "tables": [
                order.tables.names,
                order.tables.by,
                order.tables.values,
                order.tables.per,
            ],
            "where": order.where.text if order.where else None,
            "target": order.target,
            "weights": order.weights,
            "replicates": REPLICATES,
        }
    )

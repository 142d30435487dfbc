"""Overlap: how many images two atlases of one run share."""

import numpy as np
import pyarrow as pa

from pipeline.atlas import Atlas
from pipeline.atlas.filter import columns_of, parse
from pipeline.errors import ConfigError
from pipeline.nouns import counted
from pipeline.store import Run, Status


def require_disjoint(run: Run, one: Atlas, other: Atlas) -> None:
    """Refuse two atlases of a run that hold the same maps of some images.

    Their filters are evaluated again, for every row: an image in both cannot differ, and makes the
    difference look smaller than it is. Atlases of the two targets of a run hold other maps of the
    same images, as two runs do, and are not refused.

    Raises
    ------
    ConfigError
        An image passes both filters.
    """
    if one.facts["target"] == other.facts["target"] and (shared := _shared(run, one, other)):
        raise ConfigError(
            f"the two atlases share {counted(shared, 'image')}, so they are not two samples; "
            "aggregate "
            "one of the remaining images (--where 'not (…)') and compare with that"
        )


def _shared(run: Run, one: Atlas, other: Atlas) -> int:
    texts = [atlas.facts["where"] for atlas in (one, other) if atlas.facts["where"] is not None]
    filters = [parse(text, columns_of(run)) for text in texts]
    needed = {"row", "status"}.union(*(item.columns for item in filters))
    summary = run.summary()
    own = [name for name in summary.schema.names if name in needed]
    part: pa.Table = summary.to_table(columns=own).sort_by("row")
    if missing := sorted(needed.difference(own)):
        places = run.index().select(missing).take(part["row"])
        for name in missing:
            part = part.append_column(name, places[name])
    chosen = part["status"].to_numpy() == Status.OK
    for item in filters:
        chosen = chosen & item.chosen(part)
    return int(np.count_nonzero(chosen))

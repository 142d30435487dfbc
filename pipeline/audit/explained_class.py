"""Whose an image is where its *look* is judged: the class that its flow explains.

A wrong image that is explained as another class is looked at as that class is. Among the images of
its label it would seem to be looked at oddly, and to be wrong because of it.
"""

from pipeline.atlas import Atlas, open_atlas
from pipeline.errors import RunIncomplete
from pipeline.store import Run


def explained_table(run: Run) -> str:
    """Return the table of class statistics, a key of ``atlas.TABLES``, that flows are made for."""
    return "predicted" if run.config.flow.target in ("predicted", "both") else "label"


def explained_atlas(run: Run, atlas: Atlas) -> Atlas:
    """Return the atlas of that table, or ``atlas`` where the run has only this one."""
    try:
        return open_atlas(run, explained_table(run))
    except RunIncomplete:
        return atlas

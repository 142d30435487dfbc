"""``open_run``: a run for use in a notebook or a program."""

from typing import TYPE_CHECKING

from pipeline.atlas import Atlas, open_atlas
from pipeline.store import reader
from pipeline.store.objects import open_store

if TYPE_CHECKING:
    from PIL import Image


class Run(reader.Run):
    """A run with the results of later steps: its atlas, its findings, its pictures."""

    def atlas(self, table: str | None = None, name: str | None = None) -> Atlas:
        """Return class statistics (after flowatlas aggregate).

        ``table`` is ``label``, ``predicted`` or ``outcome``; ``name`` selects an atlas of some
        images or of other groups; ``run.atlas("NAME")`` opens its first table.
        """
        return open_atlas(self, table, name)

    def show(self, row: int, layer: int | None = None) -> "Image.Image":
        """Return a picture of a row: the flow over the model's input, layer by layer."""
        from pipeline.report.pictures.show import show  # only this needs torch

        return show(self, row, layer)


def open_run(uri: str) -> Run:
    """Open a run for reading; raises FlowatlasError, with the next step, if there is none."""
    return Run(uri, open_store(uri))

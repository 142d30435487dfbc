"""``open_run``: a run as a person uses it, in a notebook or a program of their own."""

from typing import TYPE_CHECKING

from pipeline.atlas import Atlas, open_atlas
from pipeline.store import reader
from pipeline.store.objects import open_store

if TYPE_CHECKING:
    from PIL import Image


class Run(reader.Run):
    """A run with what later steps made of it: its atlas, its findings, its pictures."""

    def atlas(self, table: str | None = None, name: str | None = None) -> Atlas:
        """Return class statistics (after flowatlas aggregate).

        ``table`` is ``label``, ``predicted`` or ``outcome``, ``name`` that of an atlas of some
        images or other groups; ``run.atlas("NAME")`` opens the first table of a named one.
        """
        return open_atlas(self, table, name)

    def show(self, row: int, layer: int | None = None) -> "Image.Image":
        """Return a picture of a row, the flow over what the model saw, layer by layer."""
        from pipeline.report.pictures.show import show  # torch is needed for this alone

        return show(self, row, layer)


def open_run(uri: str) -> Run:
    """Open a run for reading; FlowatlasError says what to do if there is none."""
    return Run(uri, open_store(uri))

"""``open_run``: a run for use in a notebook or a program."""

from typing import TYPE_CHECKING

from pipeline.atlas import Atlas, open_atlas
from pipeline.files.urls import is_url
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

    def show_report(self) -> str:
        """Open the report in a browser and return its address; it is written if there is none.

        Raises
        ------
        RunIncomplete
            The run has no audit to report yet.
        ConfigError
            The run is in an object store, where a browser cannot open it.
        """
        import webbrowser
        from pathlib import Path

        from pipeline.errors import ConfigError
        from pipeline.report import write_report

        if is_url(self.place):
            raise ConfigError(f"{self.uri} is in a store; copy its report/ to this machine first")
        page = "report/index.html" if self.exists("report/index.html") else write_report(self)
        address = (Path(self.place) / page).as_uri()
        webbrowser.open(address)
        return address

    def show(self, row: int, layer: int | None = None) -> "Image.Image":
        """Return a picture of a row: the flow over the model's input, layer by layer."""
        from pipeline.report.pictures.show import show  # only this needs torch

        return show(self, row, layer)


def open_run(uri: str) -> Run:
    """Open a run for reading; raises FlowatlasError, with the next step, if there is none."""
    return Run(uri, open_store(uri))

"""Export a run's images and flows to another tool: FiftyOne or ViRelAy."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.console.command import run_command, say
from pipeline.nouns import counted


class Tool(StrEnum):
    """Tools that a run can be exported to."""

    fiftyone = "fiftyone"
    virelay = "virelay"


def export(
    run: Annotated[str, typer.Argument(help="Folder or URL of a finished run.")],
    out: Annotated[Path, typer.Argument(help="Local folder to write into.", file_okay=False)],
    to: Annotated[Tool, typer.Option(help="The tool.")] = Tool.fiftyone,
    images: Annotated[int, typer.Option(min=1, help="Maximum images per class.")] = 50,
) -> None:
    """Write images and flows of a run for FiftyOne or ViRelAy."""
    from pipeline.console.step_progress import shown
    from pipeline.export.fiftyone import SAMPLES, export_fiftyone
    from pipeline.export.virelay import PROJECT, export_virelay
    from pipeline.store.reader import open_run

    opened = open_run(run)
    opened.require_finished()
    with shown("export") as show:
        if to is Tool.virelay:
            written, entry = export_virelay(opened, out, images, show), out / PROJECT
        else:
            written, entry = export_fiftyone(opened, out, images, show), out / SAMPLES
    say(f"{counted(written, 'image')}; {entry}")


if __name__ == "__main__":
    run_command(export)

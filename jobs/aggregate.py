"""Fold a finished run into class atlases with Dask."""

from typing import Annotated

import typer

from jobs.command import console, run_command


def aggregate(
    run: Annotated[str, typer.Argument(help="Folder or URL of a finished run.")],
    workers: Annotated[int | None, typer.Option(help="Threads; all cores if not given.")] = None,
) -> None:
    """Fold a finished run into exact class statistics."""
    from pipeline.atlas import aggregate as fold
    from pipeline.store import open_run

    opened = open_run(run)
    opened.require_finished()
    fold(opened, workers=workers)
    seen = int((opened.atlas("label").count > 0).sum())
    console.print(f"atlas of {seen:,} labelled classes; {run.rstrip('/')}/atlas", markup=False)


if __name__ == "__main__":
    run_command(aggregate)

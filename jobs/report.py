"""Write a run's report: static HTML that opens from disk, without a network."""

from typing import Annotated

import typer

from jobs.command import console, run_command


def report(run: Annotated[str, typer.Argument(help="Folder or URL of an audited run.")]) -> None:
    """Write the report of an audited run as static HTML."""
    from pipeline.report import write_report
    from pipeline.store import open_run

    page = write_report(open_run(run))
    console.print(f"report: {run.rstrip('/')}/{page}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    run_command(report)

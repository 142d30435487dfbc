"""Write a run's report: static HTML that opens from disk, without a network."""

from typing import Annotated

import typer

from pipeline.console.command import run_command, say


def report(run: Annotated[str, typer.Argument(help="Folder or URL of an audited run.")]) -> None:
    """Write the report of an audited run as static HTML."""
    from pipeline.report import write_report
    from pipeline.store.reader import open_run

    page = write_report(open_run(run))
    say(f"report: {run.rstrip('/')}/{page}")


if __name__ == "__main__":
    run_command(report)

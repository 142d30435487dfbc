"""Write a run's report: static HTML that opens from disk, without a network."""

from typing import Annotated

import typer

from pipeline.console.command import run_command, say


def report(
    run: Annotated[str, typer.Argument(help="Folder or URL of an audited run.")],
    single_file: Annotated[
        bool,
        typer.Option(
            "--single-file",
            help="Also write report.html: first page, findings and classes in one file, to send or "
            "to print as a PDF.",
        ),
    ] = False,
) -> None:
    """Write the report of an audited run as static HTML."""
    from pipeline.console.step_progress import shown
    from pipeline.report.single_file import write_single_file
    from pipeline.steps import refresh_report
    from pipeline.store.reader import open_run

    opened = open_run(run)
    with shown("report") as show:
        page = refresh_report(opened, show)
    say(f"report: {page}")
    if single_file:
        say(f"one file: {opened.uri.rstrip('/')}/{write_single_file(opened)}")


if __name__ == "__main__":
    run_command(report)

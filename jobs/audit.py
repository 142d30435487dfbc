"""Look for shortcuts and faults in a run's atlas."""

from enum import StrEnum
from typing import Annotated

import typer

from jobs.command import console, run_command


class Format(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
    CSV = "csv"


def audit(
    run: Annotated[str, typer.Argument(help="Folder or URL of an aggregated run.")],
    output: Annotated[
        Format, typer.Option("--format", help="How findings are printed.")
    ] = Format.TEXT,
    fail_on: Annotated[
        str,
        typer.Option(
            help="Exit with 1 if there is a finding of these kinds, e.g. shortcut,fault "
            "(shortcut includes rare ones; any means all)."
        ),
    ] = "",
) -> None:
    """Turn a run's atlas into findings, the gravest first."""
    from pipeline.audit import audit as find
    from pipeline.audit.formats import FORMATS
    from pipeline.audit.gate import Gate
    from pipeline.store import open_run

    gate = Gate.of(fail_on)
    findings = find(open_run(run))
    console.print(FORMATS[output](findings), highlight=False, markup=False, soft_wrap=True)
    gate.check(findings)


if __name__ == "__main__":
    run_command(audit)

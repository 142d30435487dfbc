"""Look for shortcuts in a run's atlas."""

from typing import Annotated

import typer

from jobs.command import console, run_command


def audit(run: Annotated[str, typer.Argument(help="Folder or URL of an aggregated run.")]) -> None:
    """Turn a run's atlas into findings, the gravest first."""
    from pipeline.audit import audit as find
    from pipeline.store import open_run

    findings = find(open_run(run))
    for sentence in findings["sentence"].to_pylist():
        console.print(f"- {sentence}", highlight=False, markup=False)
    if not findings.num_rows:
        console.print("no finding")


if __name__ == "__main__":
    run_command(audit)

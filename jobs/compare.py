"""Compare two aggregated runs: splits, checkpoints, models, plain and transformed."""

from typing import Annotated

import typer

from jobs.command import console, run_command


def compare(
    run: Annotated[str, typer.Argument(help="Folder or URL of an aggregated run.")],
    other: Annotated[str, typer.Argument(help="The run it is compared with.")],
    fail_on: Annotated[
        str, typer.Option(help="drift: exit with 1 if a class or the whole run drifted.")
    ] = "",
) -> None:
    """Say where two runs differ: class by class, column by column, image by image."""
    from pipeline.audit.compare import compare as find
    from pipeline.audit.compare import compare_path
    from pipeline.audit.gate import Gate
    from pipeline.store import open_run

    gate = Gate.of(fail_on)
    one, two = open_run(run), open_run(other)
    table = find(one, two)
    said = [row for row in table.to_pylist() if row["sentence"]]
    drifted = sum(row["kind"] == "drift" for row in said)
    for kind in ("paired", "drift"):
        for row in [row for row in said if row["kind"] == kind][:_SHOWN]:
            console.print(f"- {row['sentence']}", highlight=False, markup=False)
    console.print(
        f"{drifted} differences; all of them: {run.rstrip('/')}/{compare_path(two)}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    gate.check(table.filter([row["sentence"] is not None for row in table.to_pylist()]))


_SHOWN = 20

if __name__ == "__main__":
    run_command(compare)

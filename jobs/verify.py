"""Check a run's objects against its receipts."""

from typing import Annotated

import typer

from pipeline.console.command import run_command, say
from pipeline.errors import RunIncomplete
from pipeline.nouns import agreeing, part_of


def verify(
    run: Annotated[str, typer.Argument(help="Folder or URL of a run.")],
    deep: Annotated[bool, typer.Option("--deep", help="Also hash every object again.")] = False,
) -> None:
    """Check a run's objects against its receipts."""
    from pipeline.store import verify as check
    from pipeline.store.reader import open_run

    opened = open_run(run)
    result = check(opened.store, opened.spec, deep=deep)
    for problem in result.problems:
        say(f"unit {problem.unit}: {problem.what}")
    if result.problems:
        raise RunIncomplete(
            f"{part_of(len(result.problems), result.units, 'unit')} "
            f"{agreeing(len(result.problems), 'is', 'are')} missing or damaged; "
            "recompute exactly these with: flowatlas flows CONFIG"
        )
    how = "sizes and hashes" if deep else "sizes"
    say(f"{part_of(result.units, result.units, 'unit')} present with the right {how}")


if __name__ == "__main__":
    run_command(verify)

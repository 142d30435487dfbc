"""Compare two aggregated runs, or two atlases: splits, checkpoints, models, transforms."""

from typing import Annotated

import typer

from jobs.command import console, run_command, usage
from pipeline.errors import ConfigError


def compare(
    run: Annotated[str, typer.Argument(help="Folder or URL of an aggregated run.")],
    other: Annotated[
        str | None, typer.Argument(help="The run it is compared with; the same if not given.")
    ] = None,
    atlas: Annotated[
        str | None, typer.Option(help="A named atlas of the first run, e.g. of one split.")
    ] = None,
    other_atlas: Annotated[str | None, typer.Option(help="A named atlas of the other.")] = None,
    fail_on: Annotated[
        str, typer.Option(help="drift: exit with 1 if a class or the whole run drifted.")
    ] = "",
) -> None:
    """Say where two runs, or two atlases, differ: by class and column, and image by image."""
    from pipeline.audit.compare import compare as find
    from pipeline.audit.compare import compare_path
    from pipeline.audit.gate import Gate
    from pipeline.store import open_run

    with usage("--fail-on"):
        gate = Gate.of(fail_on, ("drift",))
    if other is None and atlas == other_atlas:
        raise ConfigError("name the run it is compared with, or two atlases of this one")
    one, two = open_run(run), open_run(other or run)
    table = find(one, two, atlas, other_atlas)
    said = [row for row in table.to_pylist() if row["sentence"]]
    drifted = sum(row["kind"] == "drift" for row in said)
    for kind in ("paired", "drift"):
        for row in [row for row in said if row["kind"] == kind][:_SHOWN]:
            console.print(f"- {row['sentence']}", highlight=False, markup=False)
    place = f"{run.rstrip('/')}/{compare_path(two, atlas, other_atlas)}"
    console.print(
        f"{drifted} differences; all of them: {place}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    gate.check(table.filter([row["sentence"] is not None for row in table.to_pylist()]))


_SHOWN = 20

if __name__ == "__main__":
    run_command(compare)

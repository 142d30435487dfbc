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
    from pipeline.audit.compare import beside, compare_path
    from pipeline.audit.compare import compare as find
    from pipeline.audit.gate import Gate
    from pipeline.audit.settings import settings_sentence
    from pipeline.store import open_run

    with usage("--fail-on"):
        gate = Gate.of(fail_on, ("drift",))
    if other is None and atlas == other_atlas:
        raise ConfigError("name the run it is compared with, or two atlases of this one")
    one, two = open_run(run), open_run(other or run)
    table = find(one, two, atlas, other_atlas)
    path = compare_path(two, atlas, other_atlas)
    _say(settings_sentence(one.table(beside(path, "settings"))))
    for row in table.to_pylist():
        if row["kind"] == "paired" and row["sentence"]:
            _say(f"- {row['sentence']}")
    headlines = table.filter(table["headline"])
    for sentence in headlines["sentence"].to_pylist()[:_SHOWN]:
        _say(f"- {sentence}")
    classes = len(headlines) - headlines["class"].null_count
    said = f"{classes} class{'es' if classes != 1 else ''} differ{'' if classes != 1 else 's'}"
    _say(f"{said}; all that was compared: {run.rstrip('/')}/{path}")
    gate.check(headlines)


def _say(line: str) -> None:
    """Print a line that no terminal's width cuts, so that it can be searched for and copied."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


_SHOWN = 20
"""Lines on what differs: the whole, and the classes that differ most."""

if __name__ == "__main__":
    run_command(compare)

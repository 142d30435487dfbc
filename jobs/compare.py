"""Compare two aggregated runs, or two atlases: splits, checkpoints, models, transforms."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.console.command import run_command, say, usage
from pipeline.errors import ConfigError
from pipeline.nouns import agreeing, counted

if TYPE_CHECKING:
    from pipeline.store import Run


def compare(
    run: Annotated[str, typer.Argument(help="Folder or URL of an aggregated run.")],
    other: Annotated[
        str | None, typer.Argument(help="The run to compare with; the same run if not given.")
    ] = None,
    atlas: Annotated[
        str | None, typer.Option(help="A named atlas of the first run, e.g. of one split.")
    ] = None,
    other_atlas: Annotated[str | None, typer.Option(help="A named atlas of the other run.")] = None,
    layers: Annotated[
        str, typer.Option(help="Layers whose activations to compare, e.g. blocks.0,blocks.11.")
    ] = "",
    channels: Annotated[
        str, typer.Option(help="Channels whose activations to compare, e.g. 5,17.")
    ] = "",
    fail_on: Annotated[
        str, typer.Option(help="drift: exit with 1 if a class or the whole run drifted.")
    ] = "",
) -> None:
    """Show where two runs, or two atlases, differ: by class and column, and image by image."""
    from pipeline.audit.compare.channels import channels_sentence
    from pipeline.audit.compare.comparison import companion_path, compare_path
    from pipeline.audit.compare.comparison import compare as find
    from pipeline.audit.compare.settings import settings_sentence
    from pipeline.audit.gate import Gate
    from pipeline.store.reader import open_run

    with usage("--fail-on"):
        gate = Gate.of(fail_on, ("drift",))
    if other is None and atlas == other_atlas:
        raise typer.BadParameter("name a run to compare with, or two atlases of this run")
    one, two = open_run(run), open_run(other or run)
    with usage("--channels"):
        numbers = _numbers(channels)
    names = [name for name in layers.split(",") if name]
    table = find(one, two, atlas, other_atlas, layers=names, channels=numbers)
    path = compare_path(two, atlas, other_atlas)
    say(settings_sentence(one.table(companion_path(path, "settings"))))
    for row in table.to_pylist():
        if row["kind"] == "paired" and row["sentence"]:
            say(f"- {row['sentence']}")
    if one.exists(companion_path(path, "channels")):
        say(f"- {channels_sentence(one.table(companion_path(path, 'channels')))}")
    headlines = table.filter(table["headline"])
    for sentence in headlines["sentence"].to_pylist()[:_SHOWN]:
        say(f"- {sentence}")
    classes = len(headlines) - headlines["class"].null_count
    summary = f"{counted(classes, 'class')} {agreeing(classes, 'differs', 'differ')}"
    say(f"{summary}; all that was compared: {one.uri.rstrip('/')}/{path}")
    say(_shown_in(one, path))
    gate.check(headlines)


def _numbers(text: str) -> list[int]:
    if not all(part.isdecimal() for part in text.split(",") if part):
        raise ConfigError(f"{text!r} are no numbers of channels; write e.g. 5,17")
    return [int(part) for part in text.split(",") if part]


def _shown_in(run: "Run", path: str) -> str:
    """Write the run's report again, if it has one; return where the comparison is shown."""
    from pipeline.console.step_progress import shown
    from pipeline.report.pages.comparison import comparison_tables
    from pipeline.report.pages.templates import INDEX, comparison_page
    from pipeline.steps import refresh_report

    place = run.uri.rstrip("/")
    if not run.exists(f"report/{INDEX.path}"):
        return f"to see it side by side: flowatlas report {place}"
    with shown("report") as show:
        refresh_report(run, show)
    return f"open {place}/report/{comparison_page([*comparison_tables(run)].index(path)).path}"


_SHOWN = 20
"""Most lines printed: the whole run, and the classes that differ most."""

if __name__ == "__main__":
    run_command(compare)

"""Evaluate maps: which methods agree with what hiding patches does to the model's answer."""

from enum import StrEnum
from typing import Annotated

import typer

from pipeline.console.command import run_command, say, usage


class Format(StrEnum):
    """Output format of the scores."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
    CSV = "csv"


def evaluate(
    run: Annotated[str, typer.Argument(help="Folder or URL of a finished run.")],
    images: Annotated[int, typer.Option(min=2, help="Images to evaluate, drawn by lot.")] = 32,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Compare with this method; repeat for several. Default: all that fit."),
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, help="Steps in which cells are hidden or shown.")
    ] = 14,
    fill: Annotated[
        str, typer.Option(help="What hidden cells show: mean (a colour) or blur.")
    ] = "mean",
    output: Annotated[
        Format, typer.Option("--format", help="How the scores are printed.")
    ] = Format.TEXT,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Compare a run's maps and those of other methods with a causal reference and baselines.

    The reference is occlusion: how far the logit falls when a patch is hidden, one by one.
    """
    from pipeline.audit.evaluation.evaluation import Options
    from pipeline.audit.evaluation.evaluation import evaluate as score
    from pipeline.audit.evaluation.maps import METHODS
    from pipeline.audit.evaluation.scores import as_markdown, as_text
    from pipeline.audit.formats import FORMATS
    from pipeline.errors import ConfigError
    from pipeline.flows.hiding import FILLS
    from pipeline.flows.registry import METHODS as KNOWN
    from pipeline.store.reader import open_run

    with usage("--method, --fill"):
        if unknown := set(method or ()) - KNOWN.keys():
            raise ConfigError(f"there is no method {min(unknown)!r}; use one of {', '.join(KNOWN)}")
        if fill not in FILLS:
            raise ConfigError(f"{fill!r} is not one of {', '.join(FILLS)}")
    opened = open_run(run)
    opened.require_finished()
    options = Options(images, tuple(method or METHODS), steps, fill)
    table = score(opened, options, lambda sentence: typer.echo(sentence, err=True), threads)
    if output is Format.TEXT:
        say(as_text(table))
    elif output is Format.MARKDOWN:
        say(as_markdown(table))
    else:
        say(FORMATS[output](table))


if __name__ == "__main__":
    run_command(evaluate)

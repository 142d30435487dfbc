"""Evaluate maps: which can be trusted, for these classes, on this model."""

from enum import StrEnum
from typing import Annotated

import typer

from pipeline.console.command import run_command, say, usage
from pipeline.console.engines import Actors, Address, Local, chosen_engine
from pipeline.nouns import part_of


class Format(StrEnum):
    """Output format of the scores."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
    CSV = "csv"


def evaluate(
    run: Annotated[str, typer.Argument(help="Folder or URL of a finished run.")],
    images: Annotated[int, typer.Option(min=2, help="Images to evaluate, drawn at random.")] = 64,
    hiding: Annotated[
        int | None,
        typer.Option(min=0, help="Hide patches of so many of them only; by default of all."),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="Compare with this method, or one of another library such as "
            "grad-cam/GradCAM or captum/Saliency; repeat for several. Default: all of ours."
        ),
    ] = None,
    peers: Annotated[
        bool, typer.Option("--peers", help="Compare with those of grad-cam and captum, too.")
    ] = False,
    steps: Annotated[
        int, typer.Option(min=1, help="Steps in which cells are hidden or shown.")
    ] = 14,
    fill: Annotated[
        list[str] | None,
        typer.Option(help="What hidden cells show: mean (a colour) or blur; repeat for both."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="Slack of the pointing game, part of the input.")
    ] = 15 / 224,
    address: Address = None,
    actors: Actors = None,
    local: Local = False,
    output: Annotated[
        Format, typer.Option("--format", help="How the scores are printed.")
    ] = Format.TEXT,
) -> None:
    """Compare a run's maps, those of other methods and baselines with a causal reference and boxes.

    The reference is occlusion: how far the logit falls when a patch is hidden, one by one. What was
    computed is kept: the same command continues where it stopped.
    """
    from pipeline.audit.evaluation.evaluation import Options
    from pipeline.audit.evaluation.evaluation import evaluate as score
    from pipeline.audit.evaluation.maps import METHODS
    from pipeline.audit.evaluation.peers import PEERS, check_peers, is_peer
    from pipeline.audit.evaluation.tables import as_markdown, as_text
    from pipeline.audit.formats import FORMATS
    from pipeline.errors import ConfigError
    from pipeline.flows.hiding import FILLS
    from pipeline.flows.registry import METHODS as KNOWN
    from pipeline.store.reader import open_run

    fills = tuple(dict.fromkeys(fill or ("mean",)))
    methods = (*(method or METHODS), *(PEERS if peers else ()))
    with usage("--method, --peers, --fill"):
        if unknown := {name for name in methods if not is_peer(name)} - KNOWN.keys():
            raise ConfigError(f"there is no method {min(unknown)!r}; use one of {', '.join(KNOWN)}")
        check_peers(methods)
        if wrong := set(fills) - set(FILLS):
            raise ConfigError(f"{min(wrong)!r} is not one of {', '.join(FILLS)}")
    opened = open_run(run)
    opened.require_finished()
    options = Options(images, hiding, methods, steps, fills, tolerance)

    def show(sentence: str) -> None:
        typer.echo(sentence, err=True)

    def progress(done: int, units: int) -> None:
        show(part_of(done, units, "unit"))

    with chosen_engine(address, actors, local) as engine:
        table = score(opened, engine, options, show, progress)
    if output is Format.TEXT:
        say(as_text(table))
    elif output is Format.MARKDOWN:
        say(as_markdown(table))
    else:
        say(FORMATS[output](table))


if __name__ == "__main__":
    run_command(evaluate)

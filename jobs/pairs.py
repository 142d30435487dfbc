"""Explain pairs of images: which patches of both make them similar."""

from typing import Annotated, Literal

import typer

from pipeline.console.command import run_command, say
from pipeline.console.engines import Actors, Address, Local, chosen_engine
from pipeline.nouns import part_of


def pairs(
    run: Annotated[str, typer.Argument(help="Folder or URL of a finished run.")],
    table: Annotated[
        str | None,
        typer.Argument(
            help="CSV, JSON lines or Parquet with columns query and gallery: images of the run. "
            "Without one, random images with their nearest neighbours, of a run with "
            "flow.features."
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="Module whose outputs are the patches, such as blocks.8 or layer3."),
    ] = None,
    similarity: Annotated[
        Literal["cosine", "dot"], typer.Option(help="Of the embeddings.")
    ] = "cosine",
    strongest: Annotated[
        int, typer.Option(min=1, help="Pairs of patches to keep, the strongest ones.")
    ] = 16,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Share of the similarity that may be missing.")
    ] = 0.01,
    most_steps: Annotated[
        int, typer.Option(min=4, help="Steps of the integral that are not exceeded.")
    ] = 108,
    images: Annotated[
        int, typer.Option(min=1, help="Images to draw where there is no table.")
    ] = 24,
    address: Address = None,
    actors: Actors = None,
    local: Local = False,
) -> None:
    """Share the similarity of pairs of images out to pairs of their patches, and store these.

    What was computed is kept: the same command continues where it stopped.
    """
    from pipeline.audit.pairs.explain import Options, explain_pairs, summary
    from pipeline.console.step_progress import shown
    from pipeline.report.pages.templates import INDEX, PAIRS
    from pipeline.steps import refresh_report
    from pipeline.store.reader import open_run

    opened = open_run(run)
    opened.require_finished()
    options = Options(layer, similarity, strongest, tolerance, most_steps, images)

    def progress(done: int, units: int) -> None:
        typer.echo(part_of(done, units, "unit"), err=True)

    with chosen_engine(address, actors, local) as engine:
        plan, found = explain_pairs(opened, table, engine, options, progress)
    for line in summary(found, plan):
        say(line)
    place = opened.uri.rstrip("/")
    say(f"all numbers: {place}/{plan.path}")
    if opened.exists(f"report/{INDEX.path}"):
        with shown("report") as show:
            refresh_report(opened, show)
        say(f"open {place}/report/{PAIRS.path}")


if __name__ == "__main__":
    run_command(pairs)

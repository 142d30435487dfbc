"""Fold a run into class atlases with Dask."""

from typing import Annotated, Literal

import typer

from pipeline.console.command import run_command, say
from pipeline.nouns import counted


def aggregate(
    run: Annotated[str, typer.Argument(help="Folder or URL of a finished run.")],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads; all cores if not given.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(help='Only these images, e.g. "confidence > 0.9 and not correct".'),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Group by a column of the summary or the index, e.g. split."),
    ] = None,
    per: Annotated[
        Literal["label", "predicted"] | None,
        typer.Option(help="Divide the groups of --by by class too: label or predicted."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the atlas, needed by --where and --target label.")
    ] = None,
    target: Annotated[
        Literal["predicted", "label"],
        typer.Option(help="Whose maps: the run's own, or the label's (flow.target: both)."),
    ] = "predicted",
    weights: Annotated[
        Literal["commonness"] | None,
        typer.Option(help="commonness: an image with n near duplicates counts 1/n."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask cluster, e.g. tcp://head:8786.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Fold the finished units of an unfinished run.")
    ] = False,
) -> None:
    """Fold a run into exact class statistics."""
    from pipeline.atlas import aggregate as fold
    from pipeline.atlas import cluster, open_atlas
    from pipeline.audit.weighting import weights_sentence
    from pipeline.console.step_progress import shown
    from pipeline.steps import record_step
    from pipeline.store.reader import open_run

    opened = open_run(run)
    with cluster(scheduler), shown("aggregate") as show:
        fold(
            opened,
            workers=workers,
            where=where,
            by=by,
            per=per,
            name=name,
            target=target,
            weights=weights,
            partial_run=partial,
            on_progress=show,
        )
    if not (name or by or partial):
        record_step(opened, "aggregate")
    atlas = open_atlas(opened, name=name or by)
    seen = int((atlas.count > 0).sum())
    place = "/".join(["atlas", *filter(None, [name or by])])
    say(
        f"atlas of {counted(atlas.facts['images'], 'image')} in {counted(seen, 'group')} by "
        f"{atlas.table}; "
        f"{opened.uri.rstrip('/')}/{place}"
    )
    if sentence := weights_sentence(atlas):
        say(sentence)


if __name__ == "__main__":
    run_command(aggregate)

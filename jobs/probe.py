"""Test a suspicion: put an overlay or a change on images and see which classes gain or lose."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.console.command import run_command, say, usage
from pipeline.nouns import agreeing, part_of


class Format(StrEnum):
    """Output format of the classes."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


def probe(
    run: Annotated[str, typer.Argument(help="Folder or URL of a finished run.")],
    overlay: Annotated[
        Path | None, typer.Option(help="Picture to lay over images; transparent parts stay.")
    ] = None,
    place: Annotated[
        str,
        typer.Option(
            help="Of the overlay: tl, top, tr, left, centre, right, bl, bottom, br, anywhere, or "
            "whole (stretched over the image)."
        ),
    ] = "whole",
    size: Annotated[
        float, typer.Option(help="Longer side of the overlay ÷ shorter side of the image.")
    ] = 0.2,
    opacity: Annotated[float, typer.Option(help="Of the overlay, in (0, 1].")] = 1.0,
    operator: Annotated[
        str | None,
        typer.Option(
            help="Change of the whole image: tint, frame, bars, blur, sharpen, jpeg, grayscale, "
            "brightness, noise, scale."
        ),
    ] = None,
    amount: Annotated[
        float | None, typer.Option(help="Of the operator; what it means depends on it.")
    ] = None,
    colour: Annotated[
        str | None, typer.Option(help="Of a tint, frame or bars, or around a scale: #rrggbb.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Images to change, drawn at random.")] = 200,
    output: Annotated[
        Format, typer.Option("--format", help="How classes are printed.")
    ] = Format.TEXT,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Change images of a run and report which classes gain and lose images by it."""
    from pipeline.audit.causal.operators import Operator
    from pipeline.audit.causal.operators import operator as find_operator
    from pipeline.audit.causal.overlay import Overlay, load_overlay
    from pipeline.audit.causal.probe import probe as test
    from pipeline.audit.causal.probe import sentences
    from pipeline.audit.formats import FORMATS
    from pipeline.engine.context import open_context
    from pipeline.errors import ConfigError
    from pipeline.store.reader import open_run

    change: Operator | Overlay
    with usage("--overlay, --operator"):
        if (overlay is None) == (operator is None):
            raise ConfigError("give one of the two: a picture or an operator")
        if overlay is not None:
            if amount is not None or colour is not None:
                raise ConfigError("--amount and --colour are of an operator")
            change = load_overlay(overlay, place, size, opacity)
        else:
            assert operator is not None
            change = find_operator(operator, amount, colour)
    opened = open_run(run)
    opened.require_finished()
    with open_context(run, threads=threads) as context:
        found = test(change, images, context)
    table = found.table()
    moved = part_of(found.moved, found.images, "image")
    typer.echo(f"{change.description}: {moved} {agreeing(found.moved, 'moves', 'move')}", err=True)
    if output is Format.TEXT:
        lines = sentences(table)
        for line in lines:
            say(f"- {line}")
        if not lines:
            say("no class provably gains or loses")
    else:
        say(FORMATS[output](table))


if __name__ == "__main__":
    run_command(probe)

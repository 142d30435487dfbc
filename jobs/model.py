"""Analyse a model without images: which values of its MLPs agree with which class."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from pipeline.console.command import run_command, say
from pipeline.console.configuration import is_configuration, place_of, read_configuration
from pipeline.errors import ConfigError, FlowatlasError
from pipeline.nouns import counted

_TABLE = ".memories.parquet"


def model(
    config: Annotated[str, typer.Argument(help="The run's YAML configuration, or a run.")],
    output: Annotated[
        Path | None, typer.Option(help="The table; CONFIG with .memories.parquet if not given.")
    ] = None,
) -> None:
    """Print for every layer which classes its MLP's values agree with; write them as Parquet.

    Where the run of the configuration is one of method projection, it also prints how well the
    class can be read from what the classifier reads and from the patches.
    """
    from pipeline.engine.memories import (
        PATCHES,
        READOUT,
        identifiability_of,
        memories_of,
        memories_table,
    )
    from pipeline.store.parquet import parquet_bytes
    from pipeline.store.reader import open_run

    settings = read_configuration(config)
    place = output or _table_of(config)
    names, layers = memories_of(settings)
    try:
        place.write_bytes(parquet_bytes(memories_table(names, layers)))
    except OSError as error:
        raise ConfigError(f"cannot write {place}: {error.strerror}; give --output") from error
    say("layer        values  classes matched  by chance  median strength  strongest class")
    for layer in layers:
        top = int(layer.strength.argmax())
        say(
            f"{layer.layer:12} {layer.values:6,}  {layer.share:15.1%}  {layer.chance:9.1%}  "
            f"{float(layer.strength.median()):15.2f}  {names[top]} "
            f"(value {int(layer.best[top])}, {float(layer.strength[top]):.1f})"
        )
    known: dict[str, dict[str, float]] = {}
    with suppress(FlowatlasError):  # there is no run yet
        known = identifiability_of(open_run(settings.run))
    if known:
        say("layer        identifiability of the class: at what is read  at the patches (mean)")
        for name, values in known.items():
            shown = [f"{values[c]:.3f}" if c in values else "–" for c in (READOUT, PATCHES)]
            say(f"{name:12} {shown[0]:>45}  {shown[1]:>21}")
    say(f"{place}: {counted(len(layers) * len(names), 'row')}")


def _table_of(config: str) -> Path:
    """Return where the table is written: beside the configuration or the run."""
    place = place_of(config)
    if place is None:
        raise ConfigError(f"{config} is in an object store; give --output, a file on this machine")
    if is_configuration(config):
        return place.with_suffix(_TABLE)
    return place.with_name(f"{place.name}{_TABLE}")


if __name__ == "__main__":
    run_command(model)

"""Analyse a model without images: which values of its MLPs agree with which class."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.config import load_config
from pipeline.console.command import run_command, say
from pipeline.console.configuration import is_configuration
from pipeline.errors import ConfigError
from pipeline.nouns import counted


def model(
    config: Annotated[str, typer.Argument(help="The run's YAML configuration.")],
    output: Annotated[
        Path | None, typer.Option(help="The table; CONFIG with .memories.parquet if not given.")
    ] = None,
) -> None:
    """Print for every layer which classes its MLP's values agree with; write them as Parquet."""
    from pipeline.engine.memories import memories_of, memories_table
    from pipeline.store.parquet import parquet_bytes

    if not is_configuration(config):
        raise ConfigError(f"{config} is not a .yaml file; give the configuration of the model")
    settings = load_config(config)
    place = output or Path(config).with_suffix(".memories.parquet")
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
    say(f"{place}: {counted(len(layers) * len(names), 'row')}")


if __name__ == "__main__":
    run_command(model)

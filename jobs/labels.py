"""Write a mapping from the dataset's classes to the model's outputs, to be completed by hand."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.config import load_config
from pipeline.console.command import run_command, say
from pipeline.console.configuration import is_configuration
from pipeline.errors import ConfigError
from pipeline.nouns import agreeing, part_of


class By(StrEnum):
    """How classes are assigned to outputs."""

    NAME = "name"
    NUMBER = "number"
    POSITION = "position"


def labels(
    config: Annotated[str, typer.Argument(help="The run's YAML configuration.")],
    output: Annotated[
        Path | None, typer.Option(help="The file; CONFIG with .labels.json if not given.")
    ] = None,
    by: Annotated[
        By,
        typer.Option(
            help="name: matches are filled in, the rest is null with close names. number: the "
            "class 7 is output 7. position: in the order of the names, as in ImageFolder."
        ),
    ] = By.NAME,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a mapping from the dataset's classes to the model's outputs, to edit and use."""
    from pipeline.engine import suggest_labels

    if not is_configuration(config):
        raise ConfigError(
            f"{config} is not a .yaml file: labels are written for a configuration, before its "
            "run, which keeps those that it began with"
        )
    settings = load_config(config)
    place = output or Path(config).with_suffix(".labels.json")
    if place.exists() and not force:
        raise ConfigError(
            f"{place} exists; overwrite it with --force, or choose another with --output"
        )
    suggested = suggest_labels(settings, by.value)
    try:
        place.write_text(suggested.text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {place}: {error.strerror}; give --output") from error
    left = len(suggested.labels) - suggested.filled
    say(f"{place}: {part_of(suggested.filled, len(suggested.labels), 'class')} filled in")
    if left:
        say(
            f"{left:,} of them {agreeing(left, 'is', 'are')} null: set the output (close names are "
            "listed), or leave them out"
        )
    say(f"then set dataset.labels: {place.name} in {config}")


if __name__ == "__main__":
    run_command(labels)

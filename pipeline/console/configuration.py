"""``read_configuration``: what a command works on, given as a configuration or as a run."""

from pathlib import Path

from pipeline.config import RunConfig, load_config
from pipeline.console.command import errors, say
from pipeline.errors import ConfigError, FlowatlasError
from pipeline.files.urls import is_url
from pipeline.store.reader import open_run


def is_configuration(given: str) -> bool:
    """Return whether a command is given a configuration: a YAML file, by its name."""
    return given.lower().endswith((".yaml", ".yml"))


def read_configuration(given: str) -> RunConfig:
    """Return the settings in a YAML file, or those that a run was computed with.

    A run holds what determines its data; its ``cluster`` and ``limits`` are then the defaults,
    which is printed.

    Raises
    ------
    ConfigError
        It is neither, or the configuration is not valid.
    """
    if is_configuration(given):
        return load_config(given)
    try:
        run = open_run(given)
    except FlowatlasError as error:
        raise ConfigError(
            f"{given} is neither a configuration (.yaml) nor a run: {error}"
        ) from error
    say(
        f"settings of {given}: its cluster and limits are not stored, so they are the defaults; "
        "to set them give its configuration",
        errors,
    )
    return run.config.model_copy(update={"run": run.place})


def place_of(given: str) -> Path | None:
    """Return the local path of a configuration or a run, which files are written beside.

    None of a run in an object store.
    """
    return None if is_url(given) else Path(given.rstrip("/\\"))

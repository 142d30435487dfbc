"""``read_configuration``: what a command works on, given as a configuration or as a run."""

from pathlib import Path

from pipeline.config import RunConfig, load_config
from pipeline.console.command import errors, given, say
from pipeline.errors import ConfigError, FlowatlasError
from pipeline.files.urls import is_url
from pipeline.store.reader import open_run


def is_configuration(path: str) -> bool:
    """Return whether a command is given a configuration: a YAML file, by its name."""
    return path.lower().endswith((".yaml", ".yml"))


def read_configuration(path: str) -> RunConfig:
    """Return the settings in a YAML file, or those that a run was computed with.

    A run holds what determines its data; its ``cluster`` and ``limits`` are then the defaults,
    which is printed.

    Raises
    ------
    ConfigError
        It is neither, or the configuration is not valid.
    """
    given.configuration = path
    if is_configuration(path):
        return load_config(path)
    try:
        run = open_run(path)
    except FlowatlasError as error:
        raise ConfigError(
            f"{path} is neither a configuration (.yaml) nor a run: {error}"
        ) from error
    say(
        f"settings of {path}: its cluster and limits are not stored, so they are the defaults; "
        "to set them give its configuration",
        errors,
    )
    return run.config.model_copy(update={"run": run.place})


def place_of(path: str) -> Path | None:
    """Return the local path of a configuration or a run, which files are written beside.

    None of a run in an object store.
    """
    return None if is_url(path) else Path(path.rstrip("/\\"))

"""Whether a command line that a manifest names is one that exists."""

import shlex
import tomllib
from pathlib import Path

import typer

from jobs.cli import app

ROOT = Path(__file__).resolve().parents[2]


def parsed(command: str) -> dict[str, object]:
    """Return what ``flowatlas`` understands of a command line; an error if that is nothing."""
    program, name, *arguments = shlex.split(command)
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert program in scripts
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return dict(known[name].make_context(name, arguments).params)


def ray_options(command: str) -> set[str]:
    """Return the options that ``ray start`` has no name for."""
    from ray.scripts.scripts import start

    known = {option for parameter in start.params for option in parameter.opts}
    given = {word.partition("=")[0] for word in shlex.split(command) if word.startswith("--")}
    return given - known

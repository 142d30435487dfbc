"""How every command behaves: typer arguments, one-line errors, exit codes 0, 1 and 2."""

import functools
import inspect
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from obstore.exceptions import BaseError
from rich.console import Console

from pipeline.console.debug import debug
from pipeline.errors import ConfigError, FlowatlasError, first_line

console = Console()
errors = Console(stderr=True)

_CONFIGURATION = re.compile(r"(flowatlas [a-z]+) CONFIG\b")
"""A command that an error proposes to run next, with what it calls the configuration."""


class Given:
    """What the command was given; errors name it in the commands that they propose."""

    configuration: str | None = None


given = Given()


def say(line: str, to: Console = console, style: str | None = None) -> None:
    """Print a line unchanged, without wrapping it, so that it can be searched and copied."""
    to.print(line, style=style, markup=False, emoji=False, highlight=False, soft_wrap=True)


@contextmanager
def terminable() -> Iterator[Callable[[], None]]:
    """Let SIGTERM end the block with KeyboardInterrupt, as Ctrl-C does; a second one is ignored.

    Yields a check to call regularly: Python drops an exception that a signal raises while a
    finaliser or a callback runs, and the check raises it again.
    """
    stopped = False

    def stop(number: int, *_: object) -> None:
        nonlocal stopped
        stopped = True
        again = signal.SIG_IGN if number == signal.SIGTERM else before[signal.Signals(number)]
        signal.signal(number, again)
        raise KeyboardInterrupt

    def check() -> None:
        if stopped:
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # a shell's background job ignores Ctrl-C
            signal.signal(number, stop)
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def usage(option: str) -> Iterator[None]:
    """Turn an invalid value of an option into a usage error, exit code 2."""
    try:
        yield
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def debuggable(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that takes ``--debug`` in addition to its own options."""
    explained = "Log every decision to standard error; show an error with its traceback."
    asked = Annotated[bool, typer.Option("--debug", help=explained)]

    @functools.wraps(command)
    def run(*arguments: Any, with_debug: bool = False, **options: Any) -> Any:
        debug.set(with_debug)
        return command(*arguments, **options)

    # Typer reads the parameters from the signature and the annotations.
    own = inspect.signature(command)
    added = inspect.Parameter(
        "with_debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=asked
    )
    run.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[*own.parameters.values(), added]
    )
    run.__annotations__ = {**command.__annotations__, "with_debug": asked}
    return run


def run_command(command: Callable[..., Any]) -> None:
    """Run one command as a program of its own (``python -m jobs.NAME``)."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(debuggable(command))
    run_app(app)


def run_app(app: typer.Typer) -> None:
    """Run a typer app; print our errors as one line with the next step, and exit with 1.

    With ``--debug`` the traceback is printed instead.
    """
    given.configuration = None
    try:
        app()
    except (FlowatlasError, BaseError) as error:
        if debug.on:
            debug.print_traceback()
            sys.exit(1)
        message = str(error)
        if isinstance(error, BaseError):
            message = f"the object store failed: {first_line(error)}; check the URL and the keys"
        if (path := given.configuration) is not None:
            message = _CONFIGURATION.sub(lambda found: f"{found[1]} {shlex.quote(path)}", message)
        say(f"error: {message}", errors, style="red")
        sys.exit(1)

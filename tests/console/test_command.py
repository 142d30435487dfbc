"""Every error that a user can fix is one line."""

import os
import signal
from collections.abc import Iterator

import pytest
import typer
from obstore.exceptions import PermissionDeniedError

from pipeline.console.command import console, given, run_app, say, terminable
from pipeline.errors import ConfigError

DETAIL = "403 Forbidden: <xml>\n\nDebug source:\nGeneric {\n}"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ConfigError("fix [this]"), "error: fix [this]"),
        (ConfigError("a long way " * 30 + "to go"), "error: " + "a long way " * 30 + "to go\n"),
        (PermissionDeniedError(DETAIL), "error: the object store failed: 403 Forbidden: <xml>;"),
    ],
)
def test_an_error_is_one_line_and_exit_code_one(
    error: Exception,
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = typer.Typer(add_completion=False)

    @app.command()
    def fail() -> None:
        raise error

    monkeypatch.setattr("sys.argv", ["fail"])
    with pytest.raises(SystemExit) as left:
        run_app(app)
    assert left.value.code == 1
    message = capsys.readouterr().err
    assert message.startswith(line)
    assert "Debug" not in message


def test_a_line_is_printed_unchanged() -> None:
    """Names from data are no markup and no emoji, and no line is wrapped."""
    line = "“:cat: [red]cat[/red]” at s3://bucket/" + "a" * 200
    with console.capture() as captured:
        say(line)
    assert captured.get() == line + "\n"


class Dropped:
    """Gets a signal in its finaliser, where Python drops what the handler raises."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self.number)
        sum(range(1000))


def signalled_while_finalising(number: signal.Signals) -> None:
    with terminable() as check:
        check()
        Dropped(number)
        check()


def signalled() -> None:
    with terminable():
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(1000))


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C is heard; a job in a shell's background inherits that it is not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_a_finaliser_swallows_is_raised_again(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt):
        signalled_while_finalising(number)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_signal_ends_the_block() -> None:
    with pytest.raises(KeyboardInterrupt):
        signalled()


def test_an_error_names_the_configuration_in_what_to_run_next(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        given.configuration = "my runs/pets.yaml"
        raise ConfigError("/CONFIG/x: RECONFIGURE it with: flowatlas labels CONFIG (it helps)")

    monkeypatch.setattr("sys.argv", ["flowatlas"])
    with pytest.raises(SystemExit):
        run_app(app)
    assert capsys.readouterr().err == (
        "error: /CONFIG/x: RECONFIGURE it with: flowatlas labels 'my runs/pets.yaml' (it helps)\n"
    )

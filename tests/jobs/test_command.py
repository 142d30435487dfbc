"""Every error that a person can mend is one line."""

import pytest
import typer
from obstore.exceptions import PermissionDeniedError

from jobs.command import run_app
from pipeline.errors import ConfigError

DETAIL = "403 Forbidden: <xml>\n\nDebug source:\nGeneric {\n}"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ConfigError("mend [this]"), "error: mend [this]"),
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
    told = capsys.readouterr().err
    assert told.startswith(line)
    assert "Debug" not in told

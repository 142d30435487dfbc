"""Commands run in this process as a shell would run them, without the seconds of a program's start.

``test_cli`` shows for some that a program of its own does the same.
"""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from jobs.cli import main


@dataclass(frozen=True)
class Done:
    """A command that has ended, as :class:`subprocess.CompletedProcess` has it."""

    returncode: int
    stdout: str
    stderr: str


def flowatlas(*arguments: str) -> Done:
    """Run ``flowatlas`` with these arguments."""
    out, errors, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
        patch.setattr(sys, "argv", ["flowatlas", *arguments])
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Done(code, out.getvalue(), errors.getvalue())

"""Who may import what: the contracts of pyproject.toml, imports within functions included."""

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports


def test_every_import_keeps_the_contracts(capsys):
    assert lint_imports() == EXIT_STATUS_SUCCESS, capsys.readouterr().out

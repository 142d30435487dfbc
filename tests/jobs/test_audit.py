import json

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from pipeline.atlas import aggregate
from pipeline.errors import GateClosed
from tests.atlas.synthetic import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = synthetic_run(tmp_path_factory.mktemp("run"), 1600, 8, 0, layers=2, tag_class=5)
    aggregate(run, tables=("label",), workers=1)
    return run


def call(*arguments):
    return CliRunner().invoke(app, ["audit", *arguments])


def test_findings_are_printed_as_asked_and_the_gate_closes(run):
    result = call(run.uri, "--format", "json", "--sanity", "0", "--fail-on", "fault")
    assert result.exit_code == 0
    (found,) = json.loads(result.stdout)
    assert (found["kind"], found["class_name"]) == ("shortcut", "class 5")
    closed = call(run.uri, "--sanity", "0", "--fail-on", "shortcut")
    assert isinstance(closed.exception, GateClosed)
    assert found["sentence"] in str(closed.exception)


def test_an_unknown_kind_is_refused_before_anything_is_done(run):
    for kind in ("shortcuts", "drift"):
        refused = call(run.uri, "--fail-on", kind)
        assert refused.exit_code == 2
        assert kind in refused.stderr


def test_missing_baselines_are_reported(run):
    """The run names a model that does not exist: the findings are still printed."""
    result = call(run.uri, "--sanity", "4")
    assert result.exit_code == 0, result.output
    assert "class 5" in result.stdout
    assert "no baselines: " in result.stderr

import json

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from pipeline.audit.evaluation.evaluation import EVALUATION
from pipeline.engine import run_flows
from pipeline.store import Run, open_run
from tests.engine.datasets import small_config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = small_config(tmp_path_factory.mktemp("run"))
    run_flows(config)
    return open_run(config.run)


def test_the_scores_are_printed_and_stored(run: Run):
    words = ["evaluate", run.uri, "--images", "4", "--steps", "2", "--method", "input_gradient"]
    done = CliRunner().invoke(app, [*words, "--format", "json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == run.table(EVALUATION).to_pylist()
    assert "input_gradient: done" in done.stderr
    shown = CliRunner().invoke(app, [*words, "--format", "markdown"]).stdout
    assert shown.startswith("| map | rank correlation with occlusion |")


def test_a_method_that_does_not_exist_is_refused_before_the_model_is_loaded(run: Run):
    done = CliRunner().invoke(app, ["evaluate", run.uri, "--method", "gradcan"])
    assert done.exit_code == 2
    assert "'gradcan'" in done.stderr

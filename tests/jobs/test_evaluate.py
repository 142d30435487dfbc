import json

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from pipeline.audit.evaluation.plan import FOLDER
from pipeline.audit.findings_table import EVALUATION
from pipeline.engine import run_flows
from pipeline.store import Run, open_run
from tests.engine.datasets import small_config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = small_config(tmp_path_factory.mktemp("run"))
    run_flows(config)
    return open_run(config.run)


WORDS = ["--images", "20", "--hiding", "4", "--steps", "2", "--method", "input_gradient"]


def test_the_scores_are_printed_and_stored_with_the_same_bits_by_actors_of_ray(run: Run):
    words = ["evaluate", run.uri, *WORDS]
    done = CliRunner().invoke(app, [*words, "--local", "--format", "json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == run.table(EVALUATION).to_pylist()
    assert done.stderr.splitlines()[-1] == "2 of 2 units"
    shown = CliRunner().invoke(app, [*words, "--local", "--format", "markdown"]).stdout
    assert shown.startswith("| map | rank correlation with occlusion ↑ |")
    paths = [EVALUATION, *run.list(FOLDER)]
    alone = {path: run.read(path) for path in paths}
    for path in paths:
        run.delete(path)
    again = CliRunner().invoke(app, [*words, "--actors", "2"])
    assert again.exit_code == 0, again.output
    assert {path: run.read(path) for path in [EVALUATION, *run.list(FOLDER)]} == alone


def test_a_method_that_does_not_exist_is_refused_before_the_model_is_loaded(run: Run):
    done = CliRunner().invoke(app, ["evaluate", run.uri, "--method", "gradcan"])
    assert done.exit_code == 2
    assert "'gradcan'" in done.stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--method", "grad-cam/GradCan"], "no peer 'grad-cam/GradCan'; use one of grad-cam/"),
        (["--fill", "noise"], "'noise' is not one of mean, blur"),
    ],
)
def test_a_peer_and_a_fill_that_do_not_exist_are_refused(run: Run, words, named):
    done = CliRunner().invoke(app, ["evaluate", run.uri, *words])
    assert done.exit_code == 2
    assert named in " ".join(done.stderr.replace("│", " ").split())

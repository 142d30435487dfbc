import json

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from pipeline.audit.evaluation.evaluation import Options, evaluate
from pipeline.audit.evaluation.plan import FOLDER
from pipeline.audit.findings_table import EVALUATION
from pipeline.config import ClusterConfig
from pipeline.engine import run_flows
from pipeline.engine.ray import RayEngine
from pipeline.store import Run, open_run
from tests.engine.datasets import small_config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = small_config(tmp_path_factory.mktemp("run"))
    run_flows(config)
    return open_run(config.run)


WORDS = ["--images", "20", "--hiding", "4", "--steps", "2", "--method", "input_gradient"]


def test_scores_are_stored_with_the_same_bits_by_ray_where_they_were_interrupted(run: Run):
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
    options = Options(images=20, hiding=4, steps=2, methods=("input_gradient",))
    done: list[int] = []

    def stop(units: int, of: int) -> None:
        done.append(units)
        if units == 1:
            raise KeyboardInterrupt

    with RayEngine(ClusterConfig(actors=1)) as engine:
        with pytest.raises(KeyboardInterrupt):
            evaluate(run, engine, options, on_progress=stop)
        assert not run.exists(EVALUATION)
        assert len(run.list(FOLDER)) >= 2  # of one unit at least: maps and tally
        evaluate(run, engine, options, on_progress=lambda units, of: done.append(units))
    assert done[:2] == [0, 1]
    assert done[2] >= 1  # what was finished is not computed again
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

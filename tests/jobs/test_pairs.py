import pytest
from typer.testing import CliRunner

from jobs.cli import app
from pipeline.audit.pairs.schema import FOLDER
from pipeline.engine import run_flows
from pipeline.store import Run, open_run
from tests.engine.datasets import small_config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = small_config(
        tmp_path_factory.mktemp("run"), flow={"method": "activation", "features": True}
    )
    run_flows(config)
    return open_run(config.run)


WORDS = ["--images", "6", "--most-steps", "4", "--tolerance", "1", "--layer", "blocks.0"]


def test_a_unit_that_was_lost_has_the_same_bytes_by_an_actor_of_ray(run: Run):
    words = ["pairs", run.uri, *WORDS]
    done = CliRunner().invoke(app, [*words, "--local"])
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines()[-1] == "2 of 2 units"
    assert done.stdout.splitlines()[0] == "6 of 6 pairs explained at blocks.0"
    assert done.stdout.splitlines()[-1].endswith("/audit/pairs/nearest.parquet")
    alone = {path: run.read(path) for path in run.list(FOLDER)}
    _, first, second = sorted(alone, key=len)
    for path in (f"{FOLDER}/nearest.parquet", max(first, second)):
        run.delete(path)
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 0, again.output
    counts = [line for line in again.stderr.splitlines() if line.endswith("of 2 units")]
    assert counts == ["1 of 2 units", "2 of 2 units"]
    assert {path: run.read(path) for path in run.list(FOLDER)} == alone


def test_a_similarity_that_does_not_exist_is_a_wrong_usage(run: Run):
    done = CliRunner().invoke(app, ["pairs", run.uri, "--similarity", "euclidean", "--local"])
    assert done.exit_code == 2
    assert "'euclidean' is not one of 'cosine', 'dot'" in " ".join(
        done.stderr.replace("│", " ").split()
    )

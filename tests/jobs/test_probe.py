import json

import pytest
from PIL import Image

from pipeline.engine import run_flows
from pipeline.store import Run, open_run
from tests.engine.datasets import small_config
from tests.jobs.shell import Done, flowatlas


def probe(*arguments: str) -> Done:
    return flowatlas("probe", *arguments)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = small_config(tmp_path_factory.mktemp("run"))
    run_flows(config)
    return open_run(config.run)


def test_an_overlay_and_an_operator_are_put_to_the_test(run: Run, tmp_path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    done = probe(run.uri, "--overlay", str(tmp_path / "red.png"), "--place", "tl")
    assert done.returncode == 0, done.stderr
    assert "red.png at tl" in done.stderr
    assert done.stdout.strip()
    done = probe(run.uri, "--operator", "blur", "--images", "7", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert sum(row["own"] for row in rows) == 7
    assert sum(row["gained"] for row in rows) == sum(row["lost"] for row in rows)
    assert "of 7 images move" in done.stderr


def test_a_wrong_question_is_refused(run: Run) -> None:
    done = probe(run.uri, "--operator", "swirl")
    assert done.returncode == 2
    assert "choose tint" in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr

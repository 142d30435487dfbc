import pytest
from typer.testing import CliRunner

from jobs.cli import app
from pipeline.errors import ConfigError, RunIncomplete
from tests.atlas.synthetic import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return synthetic_run(tmp_path_factory.mktemp("run"), images=60, classes=2, layers=2)


def call(*arguments):
    return CliRunner().invoke(app, ["aggregate", *arguments])


def test_the_command_prints_the_size_and_path_of_the_atlas(run):
    done = call(run.uri, "--workers", "1")
    images = run.atlas().count.sum()
    assert f"atlas of {images} images in 2 groups by label" in done.output
    done = call(
        run.uri, "--where", "confidence > 0.5 and not correct", "--by", "pred", "--name", "odd"
    )
    assert done.exit_code == 0
    assert run.atlas("odd").facts["where"] == "confidence > 0.5 and not correct"
    assert run.atlas("odd").table == "pred"


def test_an_unfinished_run_needs_an_option(run, tmp_path):
    partial = synthetic_run(tmp_path, images=60, classes=2, layers=2)
    partial.delete("_SUCCESS")
    assert isinstance(call(partial.uri).exception, RunIncomplete)
    assert call(partial.uri, "--partial").exit_code == 0
    assert partial.atlas().count.tolist() == run.atlas().count.tolist()


def test_a_filter_with_an_unknown_column_suggests_one(run):
    done = call(run.uri, "--where", "confidance > 0.5", "--name", "x")
    assert isinstance(done.exception, ConfigError)
    assert "did you mean confidence" in str(done.exception)


def test_the_maps_of_the_label_are_an_option(tmp_path):
    both = synthetic_run(tmp_path, images=60, classes=2, layers=2, label_maps=True)
    assert call(both.uri, "--target", "label", "--name", "label-maps").exit_code == 0
    assert both.atlas("label", name="label-maps").facts["target"] == "label"

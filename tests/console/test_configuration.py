import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from jobs.cli import app
from pipeline.config import RunConfig, load_config
from pipeline.console.configuration import place_of, read_configuration
from pipeline.engine import run_flows
from pipeline.errors import ConfigError
from tests.engine.datasets import small_config


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    config = small_config(tmp_path_factory.mktemp("given"))
    run_flows(config)
    return config


def flowatlas(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_a_run_has_the_settings_that_determine_it(
    computed: RunConfig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(computed.run).with_suffix(".yaml")
    path.write_text(yaml.safe_dump(computed.model_dump(mode="json")))
    assert read_configuration(str(path)) == load_config(path)
    assert capsys.readouterr().err == ""
    monkeypatch.chdir(Path(computed.run).parent)
    of_run = read_configuration(Path(computed.run).name)
    assert of_run.identity() == computed.identity()
    assert of_run.run == computed.run  # wherever it was given from
    assert "cluster and limits are not stored" in capsys.readouterr().err


def test_what_is_neither_is_refused_with_the_choice(tmp_path: Path) -> None:
    for given in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match=r"neither a configuration .* nor a run"):
            read_configuration(str(given))


def test_commands_of_a_configuration_take_its_run(computed: RunConfig) -> None:
    again = flowatlas("flows", computed.run)
    assert again.exit_code == 0, again.output
    assert "all done earlier" in again.stdout
    planned = flowatlas("plan", computed.run, "--json", "--rate", "1")
    assert planned.exit_code == 0, planned.output
    assert json.loads(planned.stdout)["rows"] == 40
    refused = flowatlas("submit", computed.run, "--address", "http://127.0.0.1:9")
    assert "cannot reach a Ray cluster" in str(refused.exception)


@pytest.mark.parametrize(
    ("given", "place"), [("runs/a/", "runs/a"), ("a.yaml", "a.yaml"), ("s3://bucket/a", None)]
)
def test_files_are_written_beside_what_is_local(given: str, place: str | None) -> None:
    assert place_of(given) == (None if place is None else Path(place))

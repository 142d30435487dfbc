"""``flowatlas labels``: a mapping with the matches filled in, to complete and use."""

import json
from pathlib import Path

import pytest
import yaml

from jobs.labels import By, labels
from pipeline.config import load_config
from pipeline.engine import prepare
from pipeline.errors import ConfigError
from tests.engine.datasets import small_config
from tests.images.archives import tar_of


def _configured(folder: Path, names: str | None, source: str = "images") -> Path:
    config = small_config(folder)
    content = config.model_dump(mode="json", exclude_unset=True)
    content["dataset"] = {"source": str(folder / source)}
    if names is not None:
        (folder / "names.txt").write_text(names)
        content["dataset"]["classes"] = "names.txt"
    (folder / "run.yaml").write_text(yaml.safe_dump(content))
    return folder / "run.yaml"


def test_matches_are_filled_in_and_the_rest_is_left_to_choose(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = _configured(tmp_path, "class 2\ncrane\ncrane\n")
    (tmp_path / "images/class_0").rename(tmp_path / "images/crane")
    with pytest.raises(ConfigError, match="flowatlas labels"):
        prepare(load_config(config))
    labels(str(config))
    printed = capsys.readouterr().out
    assert "1 of 3 classes filled in" in printed
    assert "dataset.labels: run.labels.json" in printed
    place = tmp_path / "run.labels.json"
    written = json.loads(place.read_text())
    assert written == {
        "class_1": {"output": None, "close": {"0": "class 2"}},
        "class_2": {"output": 0, "name": "class 2"},
        "crane": {"output": None, "close": {"1": "crane", "2": "crane"}},
    }
    with pytest.raises(ConfigError, match="--force"):
        labels(str(config))
    place.write_text(json.dumps(written | {"class_1": 1, "crane": {"output": 2}}))
    content = yaml.safe_load(config.read_text())
    content["dataset"]["labels"] = "run.labels.json"
    config.write_text(yaml.safe_dump(content))
    found = prepare(load_config(config))
    assert found.labelling.classes == {"class_1": 1, "class_2": 0, "crane": 2}
    labels(str(config), force=True)
    assert json.loads(place.read_text()) == written


@pytest.mark.parametrize(("by", "ten"), [(By.NUMBER, None), (By.POSITION, 1), (By.NAME, None)])
def test_classes_by_number_or_position(tmp_path: Path, by: By, ten: int | None) -> None:
    config = _configured(tmp_path, None)
    for before, after in (("0", "1"), ("1", "10"), ("2", "2")):
        (tmp_path / f"images/class_{before}").rename(tmp_path / f"images/{after}")
    labels(str(config), by=by, output=tmp_path / "l.json")
    written = json.loads((tmp_path / "l.json").read_text())
    assert written["10"]["output"] == ten
    assert written["2"]["output"] == 2


def test_names_that_only_a_scan_finds(tmp_path: Path) -> None:
    config = _configured(tmp_path, "ant\nbee\ncat\n", "a.tar")
    members = [("1.png", b"x"), ("1.cls", b"bees"), ("2.png", b"x"), ("2.cls", b"Cat")]
    tar_of(tmp_path / "a.tar", members)
    labels(str(config))
    written = json.loads((tmp_path / "run.labels.json").read_text())
    assert written == {
        "Cat": {"output": 2, "name": "cat"},
        "bees": {"output": None, "close": {"1": "bee"}},
    }
    tar_of(tmp_path / "a.tar", [("1.png", b"x"), ("1.cls", b"1")])
    with pytest.raises(ConfigError, match="class indices, not names"):
        labels(str(config), force=True)


def test_labels_of_a_run_are_fixed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="written for a configuration"):
        labels(str(tmp_path))

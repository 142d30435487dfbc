"""A model is loaded once, and again as soon as anything about it may differ."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.config import RunConfig
from pipeline.engine import prepare, run_flows
from pipeline.engine.inspection import inspect_model, remembered
from pipeline.errors import RunConflict
from tests.engine.datasets import MODEL, small_config, write_images, write_model

ROOT = Path(__file__).parents[3]


@pytest.fixture
def loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The weights of every model that was loaded to be inspected, in a cache of its own."""
    monkeypatch.setenv("FLOWATLAS_CACHE", str(tmp_path / "cache"))
    seen: list[str] = []
    load = inspect_model.load_configured

    def counted(model: object) -> object:
        seen.append(str(model))
        return load(model)  # type: ignore[arg-type]

    monkeypatch.setattr(inspect_model, "load_configured", counted)
    return seen


def test_the_second_time_no_model_is_loaded_and_nothing_differs(tmp_path, loads) -> None:
    config = small_config(tmp_path, flow={"method": "auto", "batch_size": 4})
    first, second = prepare(config), prepare(config)
    assert len(loads) == 1
    assert (second.spec, second.notes) == (first.spec, first.notes)
    assert second.labelling == first.labelling
    other = config.model_copy(update={"run": str(tmp_path / "other"), "unit_rows": 16})
    assert prepare(other).spec.layers == first.spec.layers
    assert len(loads) == 1, "another run of the same model and method"


def options(**changes: object) -> dict[str, object]:
    return {"name": "vit_tiny_patch16_224", "options": MODEL, "input": {"size": [32, 32]}} | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"flow": {"method": "attention"}},
        {"flow": {"method": "auto"}},
        {"flow": {"features": True}},
        {"model": options(output="sigmoid")},
        {"model": options(input={"size": [32, 32], "crop_pct": 0.5})},
        {"model": options(transform="sata")},
    ],
)
def test_other_settings_are_tried_by_themselves(tmp_path, loads, changes) -> None:
    prepare(small_config(tmp_path))
    if "model" in changes:
        changes["model"]["weights"] = str(tmp_path / "model.safetensors")
    prepare(small_config(tmp_path, run="other", **changes))
    assert len(loads) == 2


@pytest.mark.parametrize("name", ["_code", "_version"])
def test_another_version_of_the_code_tries_again(tmp_path, loads, monkeypatch, name) -> None:
    prepare(small_config(tmp_path))
    monkeypatch.setattr(remembered, name, lambda *_: "another")
    prepare(small_config(tmp_path))
    assert len(loads) == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"method": "daam"}'])
def test_what_cannot_be_read_is_found_out_again(tmp_path, loads, damage) -> None:
    config = small_config(tmp_path)
    spec = prepare(config).spec
    (kept,) = (tmp_path / "cache/inspections").iterdir()
    kept.write_text(damage)
    assert prepare(config).spec == spec
    assert len(loads) == 2


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, loads, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLOWATLAS_CACHE", str(tmp_path / "file"))
    assert prepare(small_config(tmp_path)).spec == prepare(small_config(tmp_path)).spec
    assert len(loads) == 2


def finished(tmp_path: Path) -> RunConfig:
    config = small_config(tmp_path)
    run_flows(config)
    run_flows(config)
    return config


def same_size_and_time(path: Path, write: object) -> None:
    """Change a file in a way that its size and its time do not show."""
    before = path.stat()
    write(path)  # type: ignore[operator]
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_changed_weights_are_refused_though_size_and_time_are_the_same(tmp_path, loads) -> None:
    config = finished(tmp_path)
    same_size_and_time(tmp_path / "model.safetensors", lambda path: write_model(path, seed=1))
    with pytest.raises(RunConflict, match=r"computed with other settings: weights_sha256 \(was"):
        run_flows(config)


def test_changed_data_are_refused_with_what_changed(tmp_path, loads) -> None:
    config = finished(tmp_path)
    next((tmp_path / "images/class_1").iterdir()).unlink()
    with pytest.raises(RunConflict, match=r"the dataset has changed since this run began: "):
        run_flows(config)
    assert len(loads) == 1, "the model is the same"


def test_changed_settings_are_refused_by_name(tmp_path, loads) -> None:
    config = finished(tmp_path)
    flow = config.flow.model_copy(update={"target": "label"})
    with pytest.raises(RunConflict, match=r"config.flow.target \(was predicted, is label\)"):
        run_flows(config.model_copy(update={"flow": flow}))


def test_auto_still_chooses_for_itself(tmp_path, loads) -> None:
    """The run is of another method than the one that ``auto`` takes."""
    write_images(tmp_path / "images", images=8)
    config = small_config(tmp_path, flow={"method": "gradcam", "batch_size": 4})
    run_flows(config)
    asked = small_config(tmp_path, flow={"method": "auto", "batch_size": 4})
    for _ in range(2):
        with pytest.raises(RunConflict, match=r"config.flow.method \(was gradcam, is daam\)"):
            run_flows(asked)


def test_a_finished_run_says_so_without_torch_or_ray(tmp_path, loads) -> None:
    config = finished(tmp_path)
    path = tmp_path / "run.yaml"
    content = config.model_dump(mode="json") | {"cluster": {"engine": "ray"}}
    path.write_text(yaml.safe_dump(content))
    code = (
        "import sys\nfrom jobs.cli import app\n"
        "try: app()\nexcept SystemExit as end: assert not end.code\n"
        "print({'torch', 'timm', 'ray', 'zarr', 'scipy', 'dask'} & sys.modules.keys())"
    )
    command = [sys.executable, "-c", code, "flows", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert "done: 40 images ok" in result.stdout
    assert result.stdout.endswith("set()\n")

"""What ``flow.precision: auto`` is, with and without a driver that names GPUs."""

from pathlib import Path

import pytest

from pipeline.config import RunConfig
from pipeline.engine import prepare, run_flows
from pipeline.engine.inspection.precision import chosen_precision
from pipeline.store import open_run
from tests.engine.datasets import small_config


@pytest.fixture(autouse=True)
def no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def driver(folder: Path, answer: str) -> None:
    """Write a program that answers as a GPU's driver does."""
    program = folder / "bin/nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '{answer}'\n")
    program.chmod(0o755)


def asked(folder: Path, method: str = "daam", **cluster: object) -> RunConfig:
    flow = {"method": method, "precision": "auto", "batch_size": 4}
    return small_config(folder, flow=flow, cluster={"engine": "local", **cluster})


def test_on_a_cpu_it_is_float32_and_the_run_is_the_same(tmp_path: Path) -> None:
    prepared = prepare(asked(tmp_path))
    assert prepared.spec.hash == prepare(small_config(tmp_path)).spec.hash
    assert prepared.notes == ("flow.precision: auto chose float32",)


@pytest.mark.parametrize(
    ("answer", "method", "cluster", "expected"),
    [
        ("9.0\\n", "daam", {}, "bfloat16"),
        ("8.0\\n9.0\\n", "activation", {}, "bfloat16"),
        ("9.0\\n", "gradcam", {}, "float32"),
        ("9.0\\n7.5\\n", "daam", {}, "float32"),
        ("9.0\\n", "daam", {"gpus_per_actor": 0}, "float32"),
        ("No devices were found\\n", "daam", {}, "float32"),
        ("", "daam", {}, "float32"),
    ],
)
def test_on_gpus_it_is_bfloat16_where_all_have_it_and_the_method_bears_it(
    tmp_path: Path, answer: str, method: str, cluster: dict[str, object], expected: str
) -> None:
    driver(tmp_path, answer)
    assert chosen_precision(asked(tmp_path, method, **cluster)).flow.precision == expected


def test_gpus_that_this_process_must_not_see_do_not_count(tmp_path, monkeypatch) -> None:
    driver(tmp_path, "9.0\\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert chosen_precision(asked(tmp_path)).flow.precision == "float32"


def test_a_run_keeps_the_precision_that_it_was_started_with(tmp_path: Path) -> None:
    run_flows(small_config(tmp_path))
    driver(tmp_path, "9.0\\n")
    again: list[object] = []
    run_flows(asked(tmp_path), on_receipt=again.append)
    assert not again
    assert open_run(str(tmp_path / "run")).config.flow.precision == "float32"

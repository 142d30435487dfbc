"""Jobs on a real cluster of one node with two GPUs in name only, protected by a token."""

import asyncio
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from jobs.submit import _is_here, _Log, _stage, _when_ready
from pipeline.engine import run_flows
from pipeline.engine.ray.metrics import METRICS
from pipeline.errors import ConfigError, FlowatlasError
from tests.engine.datasets import small_config
from tests.engine.trees import tree
from tests.jobs.cluster import RayCluster, ray_cluster
from tests.waiting import TIMEOUT, until

pytestmark = pytest.mark.slow


TOKEN = secrets.token_hex(32)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with a token of Ray, as the first start of Ray on a machine leaves it."""
    home = tmp_path_factory.mktemp("home")
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text(TOKEN)
    return home


@pytest.fixture(scope="module")
def cluster(home: Path) -> Iterator[RayCluster]:
    pytest.importorskip("aiohttp", reason="submitting needs ray[default]")
    # One node: two on one machine would unpack a job's files into the same folder, the second one
    # while the job runs in it.
    with ray_cluster({"num-cpus": 2, "num-gpus": 2}, home=home) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that the local engine has computed, and the configuration of the same on a cluster."""
    folder = tmp_path_factory.mktemp("submit")
    run_flows(small_config(folder, "local"))
    cluster = {"address": "ray://nowhere:1", "gpus_per_actor": 1, "cpus_per_actor": 1}
    config = small_config(folder, "submitted", cluster=cluster)
    content = {**config.model_dump(mode="json"), "run": "submitted"}
    (folder / "run.yaml").write_text(yaml.safe_dump(content))
    return folder


def start(
    config: Path, address: str, *options: str, home: Path | None = None
) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    if home is not None:  # as right after "ray start --head": nothing says that there is a token
        environment["HOME"] = str(home)
        environment.pop("RAY_AUTH_MODE", None)
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.submit", str(config), "--address", address, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env=environment,
        # A job in a shell's background ignores Ctrl-C and hands that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def names(page: str) -> set[str]:
    """Return the names of all samples of a Prometheus page."""
    return set(re.findall(r"^([a-z]\w*)[ {]", page, re.M))


def test_a_submitted_run_is_the_same_run(cluster: RayCluster, folder: Path, home: Path) -> None:
    submitted = start(folder / "run.yaml", cluster.dashboard, home=home)
    seen: set[str] = set()
    while submitted.poll() is None:
        seen |= names(cluster.scrape())
        time.sleep(0.5)
    out, errors = submitted.communicate(timeout=TIMEOUT)
    assert submitted.returncode == 0, out + errors
    assert f"every node must have these at the same path: {folder}/submitted" in out
    assert "40 images in 5 units; 3 layers of 4×4 cells; 2 workers" in out
    assert "done: 40 images ok, 0 quarantined" in out
    assert "succeeded" in out
    local, all_of_it = tree(folder / "local"), tree(folder / "submitted")
    assert {path: all_of_it[path] for path in local} == local
    steps = ("aggregate", "audit", "baselines", "screen", "confirm", "report")
    assert [step for step in steps if f"\n{step}: " not in out] == []
    assert f"open {folder}/submitted/report/index.html" in out
    assert "report/index.html" in all_of_it
    assert {f"ray_{name}" for name in METRICS} <= seen, "Prometheus sees every metric"
    assert TOKEN not in out + errors
    files = (path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert not any(TOKEN.encode() in content for content in files)


def test_the_exit_code_and_the_error_are_those_of_the_job(
    cluster: RayCluster, tmp_path: Path, home: Path
) -> None:
    config = small_config(tmp_path)
    path = tmp_path / "run.yaml"
    content = config.model_dump(mode="json", exclude={"cluster"})
    content["dataset"]["source"] = str(tmp_path / "nowhere")
    path.write_text(yaml.safe_dump(content))
    submitted = start(path, cluster.dashboard, home=home)
    out, errors = submitted.communicate(timeout=TIMEOUT)
    assert submitted.returncode == 1
    assert "error: " in out
    assert "nowhere" in out
    assert "Traceback" not in out + errors


def test_an_interrupted_submitter_leaves_the_job_alone(
    cluster: RayCluster, folder: Path, home: Path
) -> None:
    from ray.job_submission import JobSubmissionClient

    submitted = start(folder / "run.yaml", cluster.dashboard, home=home)
    lines = [submitted.stdout.readline() for _ in range(2)]  # type: ignore[union-attr]
    (job,) = re.findall(r"job (flowatlas-\w+):", "".join(lines))
    time.sleep(1)
    submitted.send_signal(signal.SIGINT)
    out, errors = submitted.communicate(timeout=TIMEOUT)
    assert submitted.returncode == 1, errors
    assert "the job keeps running" in out
    assert f"RAY_AUTH_MODE=token ray job stop --address {cluster.dashboard} {job}" in out
    client = JobSubmissionClient(cluster.dashboard, headers={"Authorization": f"Bearer {TOKEN}"})
    until(lambda: client.get_job_status(job).is_terminal(), every=0.5)
    assert client.get_job_status(job) == "SUCCEEDED"
    assert "done: 40 images ok" in client.get_job_logs(job)


def test_without_waiting_it_prints_how_to_follow(
    cluster: RayCluster, folder: Path, home: Path
) -> None:
    options = ("--no-wait", "--installed")
    submitted = start(folder / "run.yaml", cluster.dashboard, *options, home=home)
    out, errors = submitted.communicate(timeout=TIMEOUT)
    assert submitted.returncode == 0, errors
    (job,) = re.findall(r"job (flowatlas-\w+):", out)
    assert f"ray job logs --address {cluster.dashboard} --follow {job}" in out


def test_without_a_token_the_error_is_one_line(
    cluster: RayCluster, folder: Path, tmp_path: Path
) -> None:
    submitted = start(folder / "run.yaml", cluster.dashboard, home=tmp_path)
    _, errors = submitted.communicate(timeout=TIMEOUT)
    assert submitted.returncode == 1
    assert "needs RAY_AUTH_MODE=token here" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("http://127.0.0.1:8265", True),
        ("http://localhost:8265/", True),
        ("127.0.0.1:8265", True),
        ("https://[::1]:8265", True),
        ("http://head:8265", False),
        ("http://10.0.0.7:8265", False),
        ("http://localhost.example.org:8265", False),
        ("", False),
    ],
)
def test_a_token_is_sent_to_this_machine_only(address: str, here: bool) -> None:
    assert _is_here(address) == here


def test_an_unreachable_address_is_one_line(folder: Path) -> None:
    submitted = start(folder / "run.yaml", "http://127.0.0.1:1")
    _, errors = submitted.communicate(timeout=TIMEOUT)
    assert submitted.returncode == 1
    assert "cannot reach a Ray cluster at http://127.0.0.1:1" in errors
    assert "Traceback" not in errors


def test_a_run_with_the_local_engine_is_not_submitted(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(small_config(tmp_path).model_dump(mode="json")))
    submitted = start(path, "http://127.0.0.1:1")
    _, errors = submitted.communicate(timeout=TIMEOUT)
    assert submitted.returncode == 1
    assert "cluster.engine is local" in errors


def test_the_code_of_a_factory_is_sent_with_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").write_text("")
    (tmp_path / "own" / "nets.py").write_text("def build(): ...\n")
    (tmp_path / "single.py").write_text("def build(): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    staged = tmp_path / "staged"
    staged.mkdir()
    for factory in ("own.nets:build", "single:build", "timm:create_model"):
        config = small_config(tmp_path, model={"factory": factory})
        assert _stage(config, staged, code=False) == "flowatlas run config.yaml"
    found = {str(path.relative_to(staged)) for path in staged.rglob("*.py")}
    assert found == {"own/__init__.py", "own/nets.py", "single.py"}
    with pytest.raises(ConfigError, match="there is no module nowhere here"):
        _stage(small_config(tmp_path, model={"factory": "nowhere:build"}), staged, code=False)


def test_a_cluster_that_has_just_started_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.submit.time.sleep", lambda seconds: None)
    tries = []

    def send() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise RuntimeError("Request failed with status code 500: No available agent to submit")
        return "job-1"

    assert _when_ready(send) == "job-1"
    assert len(tries) == 3


def test_a_cluster_without_agents_and_other_errors_end_the_wait() -> None:
    def never() -> str:
        raise RuntimeError("No available agent to submit job, please try again later.")

    def wrong() -> str:
        raise RuntimeError("status code 400: no such directory")

    with pytest.raises(FlowatlasError, match="no agent"):
        _when_ready(never, seconds=0)
    with pytest.raises(RuntimeError, match="400"):
        _when_ready(wrong)


@pytest.mark.parametrize(
    ("parts", "missing"),
    [
        (("Traceback …\nModuleNotFound", "Error: No module named 'typer'\n", "x"), "module typer"),
        (("/usr/bin/python: No module named jobs.run\n",), "module jobs.run"),
        (("bash: line 1: flowatlas: command not found\n",), "command flowatlas"),
        (("sh: 1: python: not ", "found\n"), "command python"),
    ],
)
def test_what_the_cluster_lacks_is_remembered(parts: tuple[str, ...], missing: str) -> None:
    class Client:
        async def tail_job_logs(self, job: str):  # type: ignore[no-untyped-def]
            for part in parts:
                yield part

    log = _Log(Client(), "job")  # type: ignore[arg-type]
    asyncio.run(log.print())
    assert log.missing == missing

"""The Slurm script is a shell script with directives that Slurm knows, and commands that exist."""

import contextlib
import os
import re
import signal
import subprocess

import pytest

from tests.infra.commands import ROOT, parsed, ray_options
from tests.waiting import TIMEOUT, until

PATH = ROOT / "infra" / "flowatlas.sbatch"
TEXT = PATH.read_text()
DIRECTIVES = dict(
    re.match(r"#SBATCH --([a-z-]+)(?:=(\S+))?$", line).groups()  # type: ignore[union-attr]
    for line in TEXT.splitlines()
    if line.startswith("#SBATCH")
)


def lines() -> list[str]:
    """Return the script's commands, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", TEXT)
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


def test_bash_can_read_it():
    subprocess.run(["bash", "-n", str(PATH)], check=True)
    assert TEXT.startswith("#!/bin/bash\n")
    assert "set -euo pipefail" in lines()


def test_slurm_reads_every_directive():
    """Slurm stops looking for directives at the first command."""
    before = TEXT[: TEXT.index("\nset -euo")]
    assert before.count("\n#SBATCH") == TEXT.count("#SBATCH") == len(DIRECTIVES)


def test_a_preempted_job_goes_back_into_the_queue():
    assert "requeue" in DIRECTIVES
    assert DIRECTIVES["open-mode"] == "append"
    seconds = re.fullmatch(r"B:TERM@(\d+)", DIRECTIVES["signal"])
    assert seconds
    assert int(seconds[1]) >= 60
    (trap,) = [line for line in lines() if line.startswith("trap ")]
    assert 'kill -TERM "$driver"' in trap
    assert "scontrol requeue" in trap


def test_one_ray_per_node():
    assert DIRECTIVES["ntasks-per-node"] == "1"
    starts = [line for line in lines() if "ray start" in line]
    assert len(starts) == 2
    for line in starts:
        assert not ray_options(line.partition("ray start")[2].removesuffix(" &"))
        assert '--object-store-memory="$store"' in line
        assert "--block" in line


def test_only_clients_with_the_token_may_use_it():
    assert "export RAY_AUTH_MODE=token RAY_AUTH_TOKEN" in lines()


def test_the_driver_is_a_command_of_ours():
    (command,) = [line for line in lines() if line.startswith("flowatlas ")]
    assert str(parsed(command.removesuffix(" &"))["config"]) == "$config"


STANDS_IN = {
    "srun": 'while [[ "$1" == --* ]]; do shift; done; exec "$@"',
    "scontrol": 'if [[ "$1" == show ]]; then echo node1; echo node2; fi',
    "ray": '[[ "$1" == status ]] || exec sleep 60',
    "flowatlas": "trap 'exit 143' TERM; for _ in {1..200}; do sleep 0.05; "
    '[[ -e "$LOG.go" ]] && exit 7; done',
}


@pytest.fixture
def job(tmp_path):
    """Start the script where Slurm, Ray and flowatlas only write down how they are called."""
    for name, script in STANDS_IN.items():
        program = tmp_path / name
        program.write_text(f'#!/bin/bash\necho "{name} $*" >> "$LOG"\n{script}\n')
        program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "LOG": str(tmp_path / "log"),
        "SLURM_JOB_ID": "1234567",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": "16",
        "SLURM_GPUS_ON_NODE": "4",
    }
    process = subprocess.Popen(
        ["bash", str(PATH), "/shared/audit.yaml"], env=environment, start_new_session=True
    )
    log = tmp_path / "log"
    until(lambda: log.exists() and "flowatlas run" in log.read_text())
    yield process, log
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_node_is_the_head_the_others_join_and_the_exit_code_is_the_drivers(job):
    process, log = job
    log.with_name("log.go").touch()
    assert process.wait(TIMEOUT) == 7
    called = log.read_text()
    assert "--nodelist=node1 env -u RAY_ADDRESS ray start --head --block --port=24567" in called
    assert "--nodelist=node2 ray start --block --address=node1:24567" in called
    assert "--num-cpus=16 --num-gpus=4" in called
    assert "flowatlas run /shared/audit.yaml" in called
    assert "scontrol requeue" not in called


def test_a_job_that_slurm_ends_is_queued_again(job):
    process, log = job
    process.terminate()
    assert process.wait(TIMEOUT) == 0
    assert "scontrol requeue 1234567" in log.read_text()


@pytest.mark.parametrize("arguments", [[], ["/shared/audit.yaml"]])
def test_without_a_configuration_it_prints_its_usage(arguments):
    head = TEXT[: TEXT.index("if [[")]
    result = subprocess.run(["bash", "-c", head, "x", *arguments], capture_output=True, text=True)
    assert result.returncode == (0 if arguments else 1)
    assert ("usage: sbatch" in result.stderr) == (not arguments)

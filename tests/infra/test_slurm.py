"""The Slurm script is a shell script with directives that Slurm knows, and commands that exist."""

import re
import subprocess

import pytest

from tests.infra.commands import ROOT, parsed, ray_options

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


def test_only_who_has_the_token_may_use_it():
    assert "export RAY_AUTH_MODE=token RAY_AUTH_TOKEN" in lines()


def test_the_driver_is_a_command_of_ours():
    (command,) = [line for line in lines() if line.startswith("flowatlas ")]
    assert str(parsed(command.removesuffix(" &"))["config"]) == "$config"


@pytest.mark.parametrize("arguments", [[], ["/shared/audit.yaml"]])
def test_without_a_configuration_it_says_how_it_is_used(arguments):
    head = TEXT[: TEXT.index("if [[")]
    result = subprocess.run(["bash", "-c", head, "x", *arguments], capture_output=True, text=True)
    assert result.returncode == (0 if arguments else 1)
    assert ("usage: sbatch" in result.stderr) == (not arguments)

"""The commands, files and metrics in infra/README.md exist."""

import re

import pytest

from pipeline.engine.ray.metrics import METRICS
from tests.infra.commands import ROOT, parsed

TEXT = (ROOT / "infra" / "README.md").read_text()
BLOCKS = "\n".join(re.findall(r"^```bash\n(.*?)^```", TEXT, re.M | re.S))
COMMANDS = [*filter(None, BLOCKS.splitlines()), *re.findall(r"`(flowatlas \w+ [^`]+)`", TEXT)]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one_of_ours(command):
    assert str(parsed(command)["config"]) == "audit.yaml"


def test_every_file_exists():
    for name in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (ROOT / "infra" / name).is_file(), name


def test_every_metric_is_documented_and_no_other():
    assert set(re.findall(r"`ray_(flowatlas_\w+)", TEXT)) == METRICS.keys()

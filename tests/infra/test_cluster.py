"""The cluster of ``ray up`` is accepted by Ray and matches its comments."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from jsonschema import Draft7Validator

from tests.infra.commands import ROOT, parsed, ray_options

PATH = ROOT / "infra" / "cluster.yaml"
CLUSTER: dict[str, Any] = yaml.safe_load(PATH.read_text())
NODES = CLUSTER["available_node_types"]


@pytest.fixture(scope="module")
def schema() -> Draft7Validator:
    path = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    return Draft7Validator(json.loads(path.read_text()))


def test_ray_accepts_the_cluster(schema):
    assert [error.message for error in schema.iter_errors(CLUSTER)] == []


@pytest.mark.parametrize(
    "broken",
    [
        {"cluster_names": "x"},
        {"provider": {}},
        {"max_workers": "4"},
        {"docker": {"images": "x"}},
    ],
)
def test_the_schema_finds_mistakes(schema, broken):
    assert not schema.is_valid({**CLUSTER, **broken})


def test_the_autoscaler_accepts_it_with_its_defaults():
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(CLUSTER))


@pytest.mark.parametrize(
    "command", re.findall(r"^#   (flowatlas .+)$", PATH.read_text(), re.M), ids=str
)
def test_commands_in_comments_exist(command):
    assert parsed(command)["config"] == "audit.yaml"


def test_the_group_keeps_its_size_and_the_head_has_no_work():
    gpu, head = NODES["gpu"], NODES[CLUSTER["head_node_type"]]
    assert gpu["min_workers"] == gpu["max_workers"] == CLUSTER["max_workers"]
    assert gpu["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert head["resources"] == {"CPU": 0}


def test_ray_starts_with_a_token_and_a_small_store():
    starts = [
        line
        for when in ("head", "worker")
        for line in CLUSTER[f"{when}_start_ray_commands"]
        if "ray start" in line
    ]
    assert len(starts) == 2
    for line in starts:
        assert line.startswith("RAY_AUTH_MODE=token ")
        assert "--object-store-memory=104857600" in line
        assert not ray_options(line)
    assert "--num-cpus=0" in starts[0]
    assert set(CLUSTER["file_mounts"].values()) == {"~/.ray/auth_token"}


def test_one_image_everywhere():
    dockerfile = (ROOT / "infra" / "Dockerfile").read_text()
    assert CLUSTER["docker"]["image"] in dockerfile

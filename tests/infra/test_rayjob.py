"""The RayJob is what KubeRay accepts, what flowatlas understands, and agrees with itself."""

import copy
import shlex
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from pipeline.config import RunConfig
from pipeline.files.urls import is_url
from tests.infra.commands import parsed

ROOT = Path(__file__).resolve().parents[2]
MEMORY = {"Mi": 2**20, "Gi": 2**30}


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, Any]]:
    text = (ROOT / "infra" / "rayjob.yaml").read_text()
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


@pytest.fixture(scope="module")
def rayjob(documents) -> dict[str, Any]:
    return documents["RayJob"]


@pytest.fixture(scope="module")
def config(documents) -> RunConfig:
    return RunConfig.model_validate(yaml.safe_load(documents["ConfigMap"]["data"]["run.yaml"]))


@pytest.fixture(scope="module")
def head(rayjob) -> dict[str, Any]:
    return rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]


@pytest.fixture(scope="module")
def workers(rayjob) -> dict[str, Any]:
    (group,) = rayjob["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    return group


def container(group: dict[str, Any]) -> dict[str, Any]:
    (only,) = group["template"]["spec"]["containers"]
    return only


def mounted(group: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return mount path → volume of a group's container."""
    volumes = {volume["name"]: volume for volume in group["template"]["spec"]["volumes"]}
    mounts = container(group)["volumeMounts"]
    assert {mount["name"] for mount in mounts} == volumes.keys()
    return {mount["mountPath"]: volumes[mount["name"]] for mount in mounts}


def memory(quantity: str) -> int:
    return int(quantity[:-2]) * MEMORY[quantity[-2:]]


def closed(schema: Any) -> Any:
    """Forbid fields the schema does not know, as kubectl does; a cluster would drop them."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        result.setdefault("additionalProperties", False)
    return result


@pytest.fixture(scope="module")
def definition(photographs) -> Draft202012Validator:
    path = photographs / "kuberay" / "ray.io_rayjobs.yaml"
    if not path.is_file():
        pytest.skip("no definition of RayJob among the data")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    crd = yaml.load(path.read_text(), loader)
    (version,) = [item for item in crd["spec"]["versions"] if item["name"] == "v1"]
    return Draft202012Validator(closed(version["schema"]["openAPIV3Schema"]))


@pytest.mark.photographs
def test_kuberay_accepts_the_job(definition, rayjob):
    assert [error.message for error in definition.iter_errors(rayjob)] == []


@pytest.mark.photographs
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "shutdownAfterJobFinish"), True),
        (("spec", "backoffLimit"), "2"),
        (("spec", "rayClusterSpec", "authOptions", "mode"), "tokens"),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "tolerate"), []),
    ],
)
def test_the_definition_finds_mistakes(definition, rayjob, path, value):
    broken = copy.deepcopy(rayjob)
    place = broken
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not definition.is_valid(broken)


def test_api_versions(documents):
    versions = {kind: document["apiVersion"] for kind, document in documents.items()}
    assert versions == {"ConfigMap": "v1", "RayJob": "ray.io/v1"}


def test_the_entrypoint_is_a_command_of_ours(rayjob):
    entrypoint = rayjob["spec"]["entrypoint"]
    assert shlex.split(entrypoint)[1] == "run", "everything from the flows to the report"
    assert str(parsed(entrypoint)["config"]) == shlex.split(entrypoint)[-1]


def test_workers_run_on_spot_nodes_and_the_head_does_not(head, workers):
    tolerated = {item["key"] for item in workers["template"]["spec"]["tolerations"]}
    spot = {"cloud.google.com/gke-spot", "karpenter.sh/capacity-type"}
    assert {"nvidia.com/gpu", *spot} <= tolerated
    assert not head["template"]["spec"].get("tolerations")


def test_the_driver_finds_its_configuration(documents, rayjob, head):
    path = PurePosixPath(shlex.split(rayjob["spec"]["entrypoint"])[-1])
    assert path.name in documents["ConfigMap"]["data"]
    source = mounted(head)[str(path.parent)]["configMap"]["name"]
    assert source == documents["ConfigMap"]["metadata"]["name"]


def test_what_the_run_reads_and_writes_is_on_the_claim_of_every_pod(config, head, workers):
    local = [config.run, config.dataset.source, config.model.weights]
    local += [config.dataset.root, config.dataset.labels, config.dataset.boxes]
    for path in filter(None, local):
        assert not is_url(path), "only local images and weights can be read"
        assert PurePosixPath(path).is_relative_to("/data")
    claims = {
        mounted(group)["/data"]["persistentVolumeClaim"]["claimName"] for group in (head, workers)
    }
    assert len(claims) == 1


def test_a_worker_holds_what_its_actors_ask_for(config, workers):
    limits = container(workers)["resources"]["limits"]
    gpus, cpus = int(limits["nvidia.com/gpu"]), int(limits["cpu"])
    actors = gpus / config.cluster.gpus_per_actor
    assert cpus == actors * config.cluster.cpus_per_actor
    assert config.cluster.actors == actors * workers["replicas"]


def test_the_cluster_has_one_size(rayjob, workers):
    assert workers["minReplicas"] == workers["replicas"] == workers["maxReplicas"]
    assert not rayjob["spec"]["rayClusterSpec"].get("enableInTreeAutoscaling", False)


def test_the_head_takes_no_work(config, head):
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert "nvidia.com/gpu" not in container(head)["resources"]["limits"]
    assert config.cluster.engine == "ray"
    assert config.cluster.cpus_per_actor > 0


def test_the_driver_joins_the_cluster_of_the_job(config):
    assert config.cluster.address is None, "an address would win over the job's RAY_ADDRESS"


def test_the_object_store_is_small_and_fits_its_memory(head, workers):
    for group in (head, workers):
        store = int(group["rayStartParams"]["object-store-memory"])
        volume = mounted(group)["/dev/shm"]["emptyDir"]
        limits = container(group)["resources"]["limits"]
        assert volume["medium"] == "Memory"
        assert 75 * 2**20 <= store < memory(volume["sizeLimit"])
        assert memory(volume["sizeLimit"]) < memory(limits["memory"]) / 16


def test_pods_get_all_they_may_use_and_are_not_root(head, workers):
    for group in (head, workers):
        resources = container(group)["resources"]
        assert resources["requests"] == resources["limits"]
        security = group["template"]["spec"]["securityContext"]
        assert security["runAsNonRoot"]
        assert security["runAsUser"] == security["fsGroup"] == 1000


def test_one_image_everywhere_of_this_version(head, workers):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (image,) = {container(head)["image"], container(workers)["image"]}
    assert image.endswith(f"/{project['name']}:{project['version']}")
    dockerfile = (ROOT / "infra" / "Dockerfile").read_text()
    assert dockerfile.count(image) == dockerfile.count(f"/{project['name']}:") > 0


def test_the_version_of_ray_is_the_pinned_one(rayjob):
    pins = (ROOT / "infra" / "constraints.txt").read_text().splitlines()
    assert f"ray=={rayjob['spec']['rayClusterSpec']['rayVersion']}" in pins


def test_the_job_ends_and_gives_the_gpus_back(rayjob):
    spec = rayjob["spec"]
    assert spec["shutdownAfterJobFinishes"]
    assert 0 < spec["ttlSecondsAfterFinished"] <= 300, "the GPUs are idle for so long"
    assert 0 < spec["backoffLimit"] <= 5
    assert spec["activeDeadlineSeconds"] > 0

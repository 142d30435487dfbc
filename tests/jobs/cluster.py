"""A real Ray cluster of this machine: ``ray start`` on ports of its own, ended by its processes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_START_SECONDS = 120.0

_HEAD_ID = "f" * 51 + "00000"
"""What the provider of nodes on this machine takes for the head's."""


@dataclass(frozen=True)
class RayCluster:
    """Addresses of a running cluster.

    ``head`` is what other nodes join, ``dashboard`` where jobs are submitted, ``metrics`` one URL
    of Prometheus text per node.
    """

    head: str
    dashboard: str
    metrics: tuple[str, ...]

    def scrape(self) -> str:
        """Return what Prometheus would read now from all nodes."""
        pages = []
        for url in self.metrics:
            with urllib.request.urlopen(url, timeout=10) as answer:
                pages.append(answer.read().decode())
        return "\n".join(pages)


@contextmanager
def ray_cluster(
    *nodes: dict[str, int], scaled: dict[str, float] | None = None, home: Path | None = None
) -> Iterator[RayCluster]:
    """Start a node per mapping of ``ray start`` resources; the first one is the head.

    ``scaled`` are the resources of a further kind of node, which Ray's autoscaler starts on this
    machine when they are asked for, two at most, and ends when they are idle. ``home`` is the
    home folder that nodes see: a token of Ray in it protects the cluster; without, none does.

    Examples
    --------
    ``ray_cluster({"num-cpus": 0}, {"num-cpus": 2, "num-gpus": 1})``
    """
    ports = iter(_free_ports(3 + 4 * len(nodes)))
    head, dashboard, client = next(ports), next(ports), next(ports)
    with ExitStack() as stack:
        urls = []
        for number, resources in enumerate(nodes):
            place = [f"--address=127.0.0.1:{head}"]
            if not number:
                place = [
                    "--head",
                    "--include-dashboard=true",
                    f"--port={head}",
                    f"--dashboard-port={dashboard}",
                    f"--ray-client-server-port={client}",
                ]
                if scaled:
                    file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".json"))
                    json.dump(_scaling(f"127.0.0.1:{head}", scaled), file)
                    file.flush()
                    place.append(f"--autoscaling-config={file.name}")
            options = (f"--{name}={value}" for name, value in resources.items())
            environment = _environment(home, scaled=bool(scaled))
            urls.append(stack.enter_context(_node(ports, environment, *place, *options)))
        _wait(f"http://127.0.0.1:{dashboard}/api/version")
        yield RayCluster(f"127.0.0.1:{head}", f"http://127.0.0.1:{dashboard}", tuple(urls))


def _scaling(head: str, resources: dict[str, float]) -> dict[str, Any]:
    """Return the autoscaler's configuration: nodes of this machine, none to start with."""
    return {
        "cluster_name": "tests",
        "max_workers": 2,
        "idle_timeout_minutes": 0.05,
        "upscaling_speed": 1,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": head,
            "head_node_id": _HEAD_ID,
            "launch_multiple": True,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "available_node_types": {
            "ray.head.default": {"resources": {}, "node_config": {}, "max_workers": 0},
            "worker": {
                "resources": {**resources, "object_store_memory": 80 * 2**20},
                "node_config": {},
                "min_workers": 0,
                "max_workers": 2,
            },
        },
        "head_node_type": "ray.head.default",
        "cluster_synced_files": [],
        "file_mounts": {},
        "auth": {},
        "initialization_commands": [],
        "setup_commands": [],
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
    }


def _environment(home: Path | None, *, scaled: bool) -> dict[str, str]:
    environment = {
        **os.environ,
        # Jobs are started as "python", which on a cluster is the one that has flowatlas.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        # Metrics are handed on every second, not every ten, so that a short run is seen.
        "RAY_metrics_report_interval_ms": "1000",
    }
    if home is None:
        environment["RAY_AUTH_MODE"] = "disabled"
    else:
        environment["HOME"] = str(home)
        environment.pop("RAY_AUTH_MODE", None)
    if scaled:
        environment |= {
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": _HEAD_ID,
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": _HEAD_ID,
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        }
    return environment


@contextmanager
def _node(ports: Iterator[int], environment: dict[str, str], *arguments: str) -> Iterator[str]:
    """Run one ``ray start --block`` during the block, then end all that it started.

    Yields the URL of the node's metrics, which answers as soon as the node is up.
    """
    metrics = next(ports)
    # Sockets live in the folder, and their paths may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    command = [
        str(Path(sys.executable).with_name("ray")),
        "start",
        "--block",
        "--disable-usage-stats",
        f"--object-store-memory={80 * 2**20}",
        f"--metrics-export-port={metrics}",
        f"--dashboard-agent-listen-port={next(ports)}",
        f"--dashboard-agent-grpc-port={next(ports)}",
        f"--runtime-env-agent-port={next(ports)}",
        *arguments,
        *([f"--temp-dir={folder}"] if "--head" in arguments else []),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{metrics}/metrics"
        _wait(url)
        yield url
    finally:
        # Not by SIGTERM: a node would wait half a minute for its work to end.
        for pid in (process.pid, *_descendants(process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _descendants(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _free_ports(count: int) -> list[int]:
    """Return free ports."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _wait(url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.error.HTTPError as error:
            if error.code == 401:  # it is up, and asks for a token
                return
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)

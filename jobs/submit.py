"""Submit everything from images to report to a Ray cluster as one job; follow it to its end."""

import asyncio
import importlib.util
import ipaddress
import logging
import os
import re
import shutil
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
import yaml

from pipeline.config import RunConfig
from pipeline.console.command import run_command, say
from pipeline.console.configuration import read_configuration
from pipeline.console.debug import debug
from pipeline.errors import ConfigError, FlowatlasError
from pipeline.files.urls import is_url

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

_CODE = ("pipeline", "jobs")
_HERE = "http://127.0.0.1:8265"
"""The dashboard that ``ray start --head`` opens."""
_MODE = "RAY_AUTH_MODE"
_NO_AGENT = "No available agent"
_AGENT_SECONDS = 120.0
"""How long to wait for a node that runs jobs: it comes some time after the dashboard."""
_MISSING = re.compile(r"No module named '?([\w.]+)|(flowatlas|python): (?:command )?not found")
"""What Python and a shell print where the job's environment lacks a module or a command."""
_LOST_SECONDS = 300.0
"""How long the cluster may be unreachable before the command stops following its job."""


def submit(
    config: Annotated[str, typer.Argument(help="A YAML configuration, or a run of it.")],
    address: Annotated[
        str,
        typer.Option(
            envvar="RAY_API_SERVER_ADDRESS",
            help="The cluster's dashboard, http://head:8265; by default that of this machine.",
        ),
    ] = _HERE,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Follow the log until the job ends.")
    ] = True,
    installed: Annotated[
        bool,
        typer.Option("--installed", help="Use the flowatlas of the cluster's image, not this one."),
    ] = False,
) -> None:
    """Do what ``run`` does, on a Ray cluster as one job; submit it again to resume."""
    settings = _for_the_cluster(read_configuration(config))
    token = _send_own_token(address)
    client = _connect(address)
    with tempfile.TemporaryDirectory() as folder:
        entrypoint = _stage(settings, Path(folder), code=not installed)
        job = _when_ready(
            lambda: client.submit_job(
                entrypoint=entrypoint,
                submission_id=f"flowatlas-{uuid.uuid4().hex[:12]}",
                runtime_env={"working_dir": folder, "excludes": ["__pycache__"]},
                metadata={"run": settings.run},
            )
        )
    say(f"job {job}: {settings.run}")
    ray = f"{_MODE}=token ray" if token else "ray"
    later = (
        f"follow it: {ray} job logs --address {address} --follow {job}\n"
        f"stop it:   {ray} job stop --address {address} {job}"
    )
    if not wait:
        say(later)
        return
    try:
        code = _follow(client, job)
    except KeyboardInterrupt:
        say(f"the job keeps running\n{later}")
        raise typer.Exit(1) from None
    raise typer.Exit(code)


def _for_the_cluster(config: RunConfig) -> RunConfig:
    """Return the configuration as the job's driver reads it: it joins the cluster it runs in."""
    if config.cluster.engine != "ray":
        raise ConfigError(
            "cluster.engine is local, which does not use a cluster; remove it to submit"
        )
    dataset, references = config.dataset, config.flow.references
    paths = [
        *(config.run, dataset.source, dataset.root, dataset.classes, dataset.labels, dataset.boxes),
        *(config.model.weights, config.model.class_embeddings),
        *((references.run, references.table) if references else ()),
    ]
    named = ("pretrained", "imagenet-1k")
    local = [path for path in paths if path and path not in named and not is_url(path)]
    if local:
        say(f"every node must have these at the same path: {', '.join(local)}")
    return config.model_copy(
        update={"cluster": config.cluster.model_copy(update={"address": None})}
    )


def _send_own_token(address: str) -> bool:
    """Let Ray's client send this machine's token to a cluster on it that asks for one.

    ``ray start`` protects a cluster with the token of its machine, if there is one; Ray's client
    sends it only if it is asked to. Where else a token goes is for ``RAY_AUTH_MODE`` to say.
    """
    if _MODE in os.environ or not (_is_here(address) and _has_token() and _wants_token(address)):
        return False
    os.environ[_MODE] = "token"
    return True


def _is_here(address: str) -> bool:
    """Whether an address is one at which only this machine answers."""
    host = urlsplit(address if "://" in address else f"//{address}").hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _has_token() -> bool:
    """Whether Ray finds a token; it is not read here."""
    named = os.environ.keys() & {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}
    return bool(named) or (Path.home() / ".ray" / "auth_token").is_file()


def _wants_token(address: str) -> bool:
    """Whether a dashboard refuses what comes without a token."""
    where = address if "://" in address else f"http://{address}"
    try:
        urllib.request.urlopen(f"{where.rstrip('/')}/api/version", timeout=10).close()
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False  # Ray's client says what is wrong
    return False


def _connect(address: str) -> "JobSubmissionClient":
    from ray.job_submission import JobSubmissionClient

    for module in ("", ".dashboard.modules.dashboard_sdk", ".dashboard.modules.job.sdk"):
        # Hides messages about sockets, and about the upload in every attempt.
        logging.getLogger(f"ray{module}").setLevel(logging.WARNING)
    try:
        return JobSubmissionClient(address)
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise FlowatlasError(
            f"cannot reach a Ray cluster at {address}: {reason}; the address is that of its "
            "dashboard, http://HEAD:8265. A cluster with tokens needs RAY_AUTH_MODE=token here, "
            "and RAY_AUTH_TOKEN unless its token is that in ~/.ray/auth_token, as on its head"
        ) from error


def _when_ready(send: Callable[[], str], seconds: float = _AGENT_SECONDS) -> str:
    """Return the job that ``send`` starts; a cluster has no agent right after its start.

    Raises FlowatlasError if there is still none after ``seconds``.
    """
    end, waited = time.monotonic() + seconds, False
    while True:
        try:
            return send()
        except RuntimeError as error:
            if _NO_AGENT not in str(error):
                raise
            if time.monotonic() >= end:
                raise FlowatlasError(
                    f"the cluster had no agent to run the job after {seconds:.0f} s; look at its "
                    "dashboard, and submit again once a node is alive"
                ) from error
        if not waited:
            say("the cluster has no agent for jobs yet; waiting for it")
            waited = True
        time.sleep(1)


def _stage(config: RunConfig, folder: Path, *, code: bool) -> str:
    """Write what the job needs into ``folder``, its working directory; return its command."""
    content = yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True), sort_keys=False)
    (folder / "config.yaml").write_text(content, encoding="utf-8")
    if config.model.factory is not None:
        _stage_factory(config.model.factory, folder)
    asked = " --debug" if debug.on else ""
    if not code:
        return f"flowatlas run config.yaml{asked}"
    for package in _CODE:
        source = Path(__file__).resolve().parents[1] / package
        shutil.copytree(source, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return f"python -m jobs.run config.yaml{asked}"


def _stage_factory(factory: str, folder: Path) -> None:
    """Add the factory's package to the job, unless it is installed, as on the cluster."""
    top = factory.partition(":")[0].partition(".")[0]
    found = importlib.util.find_spec(top)
    origin = None if found is None or found.origin is None else Path(found.origin)
    if origin is None:
        raise ConfigError(
            f"model.factory: there is no module {top} here; add its folder to PYTHONPATH"
        )
    if "site-packages" in origin.parts:
        return
    if origin.name == "__init__.py":
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(origin.parent, folder / top, ignore=ignored, dirs_exist_ok=True)
    else:
        shutil.copy(origin, folder)


def _follow(client: "JobSubmissionClient", job: str) -> int:
    """Print the job's log until it ends, across lost connections; return its exit code."""
    log, last_answer = _Log(client, job), time.monotonic()
    while True:
        try:
            asyncio.run(log.print())
            info = client.get_job_info(job)
        except Exception as error:  # Ray, requests and aiohttp each raise their own
            if time.monotonic() - last_answer > _LOST_SECONDS:
                raise FlowatlasError(
                    f"no answer about job {job} for {_LOST_SECONDS:.0f} s ({error}); it may "
                    "still run: check the cluster, then submit the configuration again to resume"
                ) from error
            time.sleep(2)
            continue
        last_answer = time.monotonic()
        if info.status.is_terminal():
            # A failed job's message ends with its log, which is printed above.
            message = (info.message or "").partition(", last available logs")[0]
            say(f"job {job}: {info.status.lower()}. {message}")
            if log.missing and info.status != "SUCCEEDED":
                say(
                    f"the cluster has no {log.missing}: install flowatlas with its dependencies "
                    "in the Python of every node (infra/Dockerfile builds such an image), then "
                    "submit again"
                )
            return info.driver_exit_code or int(info.status != "SUCCEEDED")
        time.sleep(0.5)


class _Log:
    """A job's log; counts what it has printed, because the server always sends the whole log."""

    def __init__(self, client: "JobSubmissionClient", job: str) -> None:
        self._client, self._job, self._printed = client, job, 0
        self._line = ""
        self.missing: str | None = None
        """The module or command that the job's environment lacks, in words."""

    async def print(self) -> None:
        """Print new text as it arrives, until the job or the connection ends."""
        seen = 0
        async for text in self._client.tail_job_logs(self._job):
            new = text[max(0, self._printed - seen) :]
            print(new, end="", flush=True)
            self._look(new)
            seen += len(text)
            self._printed = max(self._printed, seen)

    def _look(self, text: str) -> None:
        """Remember a module that is missing; a line may arrive in pieces."""
        self._line += text
        if found := _MISSING.search(self._line):
            self.missing = f"module {found[1]}" if found[1] else f"command {found[2]}"
        self._line = self._line.rpartition("\n")[2]


if __name__ == "__main__":
    run_command(submit)

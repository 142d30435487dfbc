"""A real S3 endpoint on this machine (moto over HTTP), and a proxy before it that misbehaves."""

import logging
import os
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

import boto3
import pytest
from moto.server import ThreadedMotoServer

SECRET = "aVerySecretKey/DoNotTell+1234567890abcdef"
KEY = "AKIADONOTTELLEITHER1"
BUCKET = "atlas"

FAULTS = ("503", "reset", "cut", "hang", "lost")
"""503: an answer to try again later. reset: the connection dies before anything is done. cut: half
of the answer. hang: no answer for ``hang_seconds``, then the connection closes. lost: what was
asked for is done, but the answer never arrives."""


@contextmanager
def s3_server() -> Iterator[str]:
    """Serve an empty bucket ``atlas``; yield the URL of the endpoint.

    The environment has its endpoint and credentials for as long, for child processes too.
    """
    logging.getLogger("werkzeug").setLevel("WARNING")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    try:
        with environment(endpoint):
            boto3.client("s3").create_bucket(Bucket=BUCKET)
            yield endpoint
    finally:
        server.stop()


@contextmanager
def environment(endpoint: str) -> Iterator[None]:
    """Point everything that speaks S3 at an endpoint."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield


class FaultyProxy:
    """An HTTP proxy that spoils a share of the requests; a context manager.

    Parameters
    ----------
    target : str
        Endpoint of the real server, ``http://host:port``.
    rates : mapping
        Fault → probability per request (see :data:`FAULTS`); may be changed while it runs.
    seed : int
        Of the dice. Threads race for them, so only the number of faults is reproducible, roughly.
    hang_seconds : float

    Attributes
    ----------
    url : str
        Endpoint to use instead of the real one.
    injected : Counter
        How often each fault happened.
    requests : int
    busiest : int
        The most requests that were there at once.
    limit : int or None
        After so many faults it behaves.
    delay_seconds : mapping
        HTTP method → seconds that every answer takes in addition.
    """

    def __init__(
        self, target: str, rates: Mapping[str, float], seed: int = 0, hang_seconds: float = 2.0
    ) -> None:
        self.rates, self.hang_seconds = dict(rates), hang_seconds
        self.injected: Counter[str] = Counter()
        self.requests = self.busiest = self._present = 0
        self.limit: int | None = None
        self.delay_seconds: Mapping[str, float] = {}
        self._dice, self._lock = random.Random(seed), threading.Lock()
        self._target = target.removeprefix("http://")
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "FaultyProxy":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def present(self) -> Iterator[None]:
        """Count a request for as long as the block takes."""
        with self._lock:
            self._present += 1
            self.busiest = max(self.busiest, self._present)
        try:
            yield
        finally:
            with self._lock:
                self._present -= 1

    def draw(self) -> str | None:
        """Return the fault of the next request, mostly None."""
        with self._lock:
            self.requests += 1
            if self.limit is not None and self.injected.total() >= self.limit:
                return None
            roll = self._dice.random()
            for fault, rate in self.rates.items():
                if roll < rate:
                    self.injected[fault] += 1
                    return fault
                roll -= rate
        return None

    def forward(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask the real server."""
        connection = HTTPConnection(self._target, timeout=60)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    """One connection of the proxy."""

    protocol_version = "HTTP/1.1"
    owner: FaultyProxy

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.owner.draw()
        with self.owner.present():
            time.sleep(self.owner.delay_seconds.get(self.command, 0.0))
        if fault == "503":
            error = (
                b"<Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>"
            )
            self._answer(503, [("Content-Type", "application/xml")], error)
            return
        if fault == "hang":
            time.sleep(self.owner.hang_seconds)
        if fault in ("reset", "hang"):
            self._break()
            return
        status, headers, content = self.owner.forward(self.command, self.path, body, self.headers)
        if fault == "lost":
            self._break()
            return
        self._answer(status, headers, content, cut=fault == "cut")

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815

    def _answer(
        self, status: int, headers: list[tuple[str, str]], content: bytes, cut: bool = False
    ) -> None:
        self.send_response_only(status)
        length = next((v for k, v in headers if k.lower() == "content-length"), str(len(content)))
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self._break()

    def _break(self) -> None:
        """Close the connection the hard way."""
        self.wfile.flush()
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

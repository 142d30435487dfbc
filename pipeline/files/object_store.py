"""Object stores: how they are opened, with which time-outs and retries."""

import atexit
import functools
import logging
import os
import random
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import obstore
import pyarrow.fs
from obstore.fsspec import FsspecStore
from obstore.store import GCSStore, LocalStore, ObjectStore, S3Store

from pipeline.errors import FlowatlasError, first_line
from pipeline.files.urls import SCHEMES, absolute, is_remote, local, redacted, refuse_secrets

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_log = logging.getLogger(__name__)

_P = ParamSpec("_P")
_T = TypeVar("_T")

_HTTP_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "GOOGLE_BASE_URL")

RETRY: "RetryConfig" = {"max_retries": 10, "retry_timeout": timedelta(minutes=3)}
"""Per request: 5xx, resets and time-outs are retried after 0.1 to 15 s, with jitter."""

_REPEATS = 7
_CONNECT = timedelta(seconds=10)
_SILENCE = timedelta(seconds=30)
_REQUEST = timedelta(minutes=5)
"""A shard of 128 MiB at 0.5 MB/s; beyond that an object store is not usable."""


def open_url(url: str) -> ObjectStore:
    """Open a bucket, or a prefix of it, with the credentials and endpoint of the environment.

    ``AWS_*`` or ``GOOGLE_*`` are read, or the machine's own role (instance metadata). An
    ``http://`` endpoint is used as it is. Every request is retried according to :data:`RETRY`;
    what fails after that, the caller may try again.

    Raises
    ------
    FlowatlasError
        The scheme is unknown, or the store cannot be set up.
    """
    refuse_secrets(url)
    scheme = url.partition("://")[0].lower()
    if scheme not in SCHEMES:
        raise FlowatlasError(f"cannot open {url[:200]!r}: give s3://, gs:// or a local path")
    client = _client()
    bucket, _, prefix = url.partition("://")[2].partition("/")
    try:
        if scheme == "s3":
            return S3Store(bucket, prefix=prefix or None, client_options=client, retry_config=RETRY)
        return GCSStore(bucket, prefix=prefix or None, client_options=client, retry_config=RETRY)
    except Exception as error:  # obstore's errors share no base class with those of its URLs
        raise FlowatlasError(f"cannot open {url}: {first_line(error)}") from error


def open_prefix(place: str, *, create: bool = False) -> ObjectStore:
    """Open a local folder or a prefix of an object store, as one flat space of named objects.

    Raises
    ------
    FileNotFoundError
        There is no such folder, and ``create`` is False.
    FlowatlasError
        See :func:`open_url`.
    """
    if is_remote(place):
        return open_url(place)
    folder = Path(local(place))
    if not create and not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    return LocalStore(folder.resolve(), mkdir=True)


def _client() -> "ClientConfig":
    plain = any(os.environ.get(name, "").startswith("http://") for name in _HTTP_ENDPOINTS)
    return {
        "allow_http": plain,
        "connect_timeout": _CONNECT,
        "read_timeout": _SILENCE,
        "timeout": _REQUEST,
    }


def repeated(work: Callable[_P, _T]) -> Callable[_P, _T]:
    """Retry what obstore does not retry itself: conditional creates, deletes, broken listings.

    Without a response it is unknown whether the operation took effect, and not every program may
    repeat it. This one may: a caller that finds the object already there compares its content.
    """

    @functools.wraps(work)
    def patient(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        for attempt in range(_REPEATS):
            try:
                return work(*args, **kwargs)
            except obstore.exceptions.GenericError as error:
                # A response (5xx have been retried already), or an error of the local disk.
                if "status code" in str(error) or "LocalFileSystem" in str(error):
                    raise
                _log.info(
                    "no response to %s, retrying (%d of %d): %s",
                    getattr(work, "__name__", work),
                    attempt + 1,
                    _REPEATS,
                    redacted(first_line(error)),
                )
                time.sleep(random.uniform(0.5, 1) * 0.1 * 2**attempt)
        return work(*args, **kwargs)

    return patient


def arrow_files(place: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """Return a place as pyarrow's datasets want it: a file system, and the path in it.

    Files of an object store are Python objects, and Arrow's threads close them shortly after the
    data has arrived. A program that exits before then is aborted (SIGABRT), so it waits that long
    at exit.
    """
    if not is_remote(place):
        return pyarrow.fs.LocalFileSystem(), absolute(place)
    _wait_at_exit()
    scheme, _, path = refuse_secrets(place).partition("://")
    options: Any = {"client_options": _client(), "retry_config": RETRY}
    # Never an instance of an earlier environment: fsspec caches them by their arguments alone.
    store = FsspecStore(scheme, skip_instance_cache=True, **options)  # type: ignore[call-overload]
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(store)), path.rstrip("/")


@functools.cache
def _wait_at_exit() -> None:
    atexit.register(time.sleep, _CLOSING_SECONDS)


_CLOSING_SECONDS = 0.1


class Objects:
    """Opens each bucket once; safe to share between threads."""

    def __init__(self) -> None:
        self._buckets: dict[str, ObjectStore] = {}

    def at(self, url: str) -> tuple[ObjectStore, str]:
        """Return the bucket of a URL and the key in it."""
        scheme, _, rest = url.partition("://")
        bucket, _, key = rest.partition("/")
        name = f"{scheme}://{bucket}"
        if name not in self._buckets:
            self._buckets[name] = open_url(name)
        return self._buckets[name], key

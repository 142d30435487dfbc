"""Object stores: which URLs are opened, with which patience, and what never stands in a URL."""

import atexit
import functools
import io
import os
import random
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
import pyarrow.fs
from obstore.fsspec import FsspecStore
from obstore.store import GCSStore, ObjectStore, S3Store

from pipeline.errors import ConfigError, FlowatlasError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

SCHEMES = ("s3", "gs")

_P = ParamSpec("_P")
_T = TypeVar("_T")

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_QUERY = re.compile(r"\?[^/]*=")
_HTTP_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "GOOGLE_BASE_URL")

RETRY: "RetryConfig" = {"max_retries": 10, "retry_timeout": timedelta(minutes=3)}
"""Of one request: 5xx, resets and time-outs are tried again after 0.1 to 15 s, with jitter."""

_REPEATS = 7
_CONNECT = timedelta(seconds=10)
_SILENCE = timedelta(seconds=30)
_REQUEST = timedelta(minutes=5)
"""A shard of 128 MiB at 0.5 MB/s; beyond that an object store is not usable."""


def is_url(uri: str) -> bool:
    """Tell whether a URI names its scheme."""
    return _URL.match(uri) is not None


def is_remote(uri: str) -> bool:
    """Tell whether a URI is an object store's; ``file://`` is not."""
    match = _URL.match(uri)
    return match is not None and match[1].lower() != "file"


def local(uri: str) -> str:
    """Return a path, of a path or of a ``file://`` URL."""
    return unquote(urlsplit(uri).path) if is_url(uri) else uri


def shown(uri: str) -> str:
    """Return a URI as it may be told to people: without user, password and query."""
    if not is_url(uri) or not has_secret(uri):
        return uri
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://…{rest.rpartition('@')[2].partition('?')[0]}"


def has_secret(uri: str) -> bool:
    """Tell whether a URL has a user, a password or a query: the places of keys and tokens."""
    if not is_url(uri):
        return False
    rest = uri.partition("://")[2]
    return "@" in rest.partition("/")[0] or _QUERY.search(rest) is not None


def refuse_secrets(uri: str) -> str:
    """Return the URI.

    Raises
    ------
    ConfigError
        Credentials stand in it; they would end in run.json, logs and reports. Not repeated here.
    """
    if has_secret(uri):
        raise ConfigError(
            f"{shown(uri)} holds a user, a password or a query, which would be stored with the "
            "run; give credentials in the environment (AWS_ACCESS_KEY_ID, …) and a plain URL"
        )
    return uri


def open_url(url: str) -> ObjectStore:
    """Open a bucket, or a prefix of it, with the credentials and endpoint of the environment.

    ``AWS_*`` or ``GOOGLE_*`` are read, or what the machine itself is allowed (instance metadata).
    An ``http://`` endpoint is used as such. Every request is retried as :data:`RETRY` says;
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


def _client() -> "ClientConfig":
    plain = any(os.environ.get(name, "").startswith("http://") for name in _HTTP_ENDPOINTS)
    return {
        "allow_http": plain,
        "connect_timeout": _CONNECT,
        "read_timeout": _SILENCE,
        "timeout": _REQUEST,
    }


def repeated(work: Callable[_P, _T]) -> Callable[_P, _T]:
    """Repeat what obstore does not repeat by itself: conditional creates and deletes.

    Where no answer came, nobody knows whether they were done, and not every program may do them
    twice. Ours may: whoever finds an object there goes by what is in it.
    """

    @functools.wraps(work)
    def patient(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        for attempt in range(_REPEATS):
            try:
                return work(*args, **kwargs)
            except obstore.exceptions.GenericError as error:
                # An answer (of those 5xx have been retried), or a disk's last word.
                if "status code" in str(error) or "LocalFileSystem" in str(error):
                    raise
                time.sleep(random.uniform(0.5, 1) * 0.1 * 2**attempt)
        return work(*args, **kwargs)

    return patient


def first_line(error: BaseException) -> str:
    """Return what an object store said, without the pages of detail behind it."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def read_text(uri: str) -> str:
    """Read a small text file, local or remote.

    Raises
    ------
    OSError, UnicodeDecodeError
        It is not there, cannot be read, or is not UTF-8.
    """
    if not is_remote(uri):
        with open(local(uri), encoding="utf-8") as file:
            return file.read()
    folder, _, name = uri.rpartition("/")
    try:
        return bytes(obstore.get(open_url(folder), name).bytes()).decode()
    except obstore.exceptions.BaseError as error:
        raise OSError(first_line(error)) from error


def arrow_files(url: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """Return a URL as pyarrow's datasets want it: a file system, and the path in it.

    Its files belong to Python, and Arrow's threads close them a little after the data is there. A
    program that ends by then is killed by it (SIGABRT), so it waits that moment before it ends.
    """
    _wait_at_exit()
    scheme, _, path = refuse_secrets(url).partition("://")
    options: Any = {"client_options": _client(), "retry_config": RETRY}
    # Not one of an earlier environment: fsspec keeps them by their arguments alone.
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


class RangedFile(io.RawIOBase):
    """A seekable file of an object that is read by ranges, each as large as it is asked for.

    Raises
    ------
    FileNotFoundError
        There is no such object.
    """

    def __init__(self, store: ObjectStore, path: str, size: int | None = None) -> None:
        self._store, self._path = store, path
        self._size = obstore.head(store, path)["size"] if size is None else size
        self._position = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position; nothing is read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Return up to ``size`` bytes in one request, fewer only at the end."""
        left = max(0, self._size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        if not wanted:
            return b""
        content = bytes(
            obstore.get_range(self._store, self._path, start=self._position, length=wanted)
        )
        self._position += len(content)
        return content

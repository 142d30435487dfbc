"""Remote files that must be local, fetched once per node: weights, names of classes."""

import fcntl
import hashlib
import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import obstore
from obstore.exceptions import BaseError

from pipeline.errors import ConfigError, first_line
from pipeline.files.object_store import Objects
from pipeline.files.urls import is_remote, local

_PIECE = 8 << 20


def local_copy(uri: str) -> str:
    """Return a local path of a file; a remote one is downloaded unless this node has it already.

    The processes of a node share the copies in ``$FLOWATLAS_CACHE`` (``~/.cache/flowatlas``): one
    downloads, the others wait. A copy is keyed by the URL and the version of the object; it appears
    atomically, and a copy whose bytes have changed since is downloaded again.

    Raises
    ------
    ConfigError
        There is no such object, or it cannot be fetched.
    """
    if not is_remote(uri):
        return local(uri)
    store, key = Objects().at(uri)
    try:
        head = obstore.head(store, key)
        version = f"{uri}\n{head['e_tag']}\n{head['size']}\n{head['last_modified']}"
        folder = cache_folder() / hashlib.blake2b(version.encode(), digest_size=16).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / posixpath.basename(key)
        with _alone(folder):
            if not _is_sound(path):
                _fetch(store, key, head["size"], path)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no {uri}; check the configuration") from error
    except (BaseError, OSError) as error:
        raise ConfigError(f"cannot fetch {uri}: {first_line(error)}; try again") from error
    return str(path)


def cache_folder() -> Path:
    """Return the folder of what is kept here: ``$FLOWATLAS_CACHE``, or ``~/.cache/flowatlas``."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.environ.get("FLOWATLAS_CACHE") or os.path.join(home, "flowatlas"))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes of this node out; the lock of a killed process is released."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(store: obstore.store.ObjectStore, key: str, size: int, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    digest, fetched = hashlib.blake2b(digest_size=16), 0
    with part.open("wb") as file:
        for piece in obstore.get(store, key).stream(min_chunk_size=_PIECE):
            digest.update(piece)
            fetched += file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if fetched != size:
        raise OSError(f"{fetched} of {size} bytes arrived")
    _note(path).write_text(digest.hexdigest())
    part.replace(path)


def _is_sound(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        return found == _note(path).read_text()
    except FileNotFoundError:
        return False


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".blake2b")

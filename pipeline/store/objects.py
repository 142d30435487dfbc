"""A run's folder or object-store prefix as one flat space of named objects (obstore)."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
from obstore.store import LocalStore, ObjectStore

from pipeline.errors import FlowatlasError
from pipeline.files.object_store import open_prefix, repeated
from pipeline.files.urls import plain
from pipeline.store.layout import RUN

_STAGED = re.compile(r"#\d+$")
"""How a local write is named until it is complete and renamed; a killed process leaves some."""


def open_store(uri: str, *, create: bool = False) -> ObjectStore:
    """Open a local folder or an object-store URL (``s3://``, ``gs://``).

    Writes are atomic everywhere: an object is absent or whole, also on a local disk, where it is
    staged beside its place and renamed.

    Raises
    ------
    FlowatlasError
        The folder does not exist (and ``create`` is False) or the URL has an unknown scheme.
    """
    try:
        return open_prefix(uri, create=create)
    except FileNotFoundError as error:
        raise FlowatlasError(
            f"there is no run at {plain(uri)}; compute it with: flowatlas run CONFIG"
        ) from error


def is_run(uri: str) -> bool:
    """Return whether a run has been begun there."""
    try:
        return exists(open_prefix(uri), RUN)
    except FileNotFoundError:
        return False


def _local_folder(store: ObjectStore) -> Path | None:
    """Return the folder behind a local store, None for a remote one."""
    return Path(str(store.prefix)) if isinstance(store, LocalStore) else None


def read(store: ObjectStore, path: str) -> bytes:
    """Return an object's bytes; FileNotFoundError if there is none."""
    return bytes(obstore.get(store, path).bytes())


def write(store: ObjectStore, path: str, content: bytes) -> None:
    """Write an object whole, replacing what was there."""
    obstore.put(store, path, content)


@repeated
def write_once(store: ObjectStore, path: str, content: bytes) -> bool:
    """Write an object unless it exists (conditional create); return whether it was written."""
    try:
        obstore.put(store, path, content, mode="create")
    except obstore.exceptions.AlreadyExistsError:
        return False
    except FileNotFoundError as error:
        raise FlowatlasError(
            f"cannot write {path}: {store} is not there; create the bucket or check the run's URL"
        ) from error
    return True


def exists(store: ObjectStore, path: str) -> bool:
    """Return whether the object exists."""
    try:
        obstore.head(store, path)
    except FileNotFoundError:
        return False
    return True


def size(store: ObjectStore, path: str) -> int | None:
    """Return an object's size in bytes, None if there is none."""
    try:
        return obstore.head(store, path)["size"]
    except FileNotFoundError:
        return None


@repeated
def delete(store: ObjectStore, path: str) -> None:
    """Delete an object; deleting what does not exist is no error."""
    try:
        obstore.delete(store, path)
    except FileNotFoundError:
        return


def sizes(store: ObjectStore, *prefixes: str) -> dict[str, int]:
    """Return path → size in bytes of every object under the prefixes, each listed in a thread."""

    @repeated  # a response may break off in the middle of a listing
    def listed(prefix: str) -> dict[str, int]:
        batches = obstore.list(store, prefix=prefix)
        return {item["path"]: item["size"] for batch in batches for item in batch}

    found: dict[str, int] = {}
    with ThreadPoolExecutor(len(prefixes)) as threads:
        for part in threads.map(listed, prefixes):
            found |= part
    return found


def sweep(store: ObjectStore) -> None:
    """Remove what killed processes left half-written on a local disk (remote stores leave none)."""
    folder = _local_folder(store)
    if folder is None:
        return
    for place, _, names in os.walk(folder):
        for name in names:
            if _STAGED.search(name):
                Path(place, name).unlink(missing_ok=True)

"""``Root``: what relative URIs of a dataset resolve to, and which of them are allowed."""

import os
import posixpath

from pipeline.errors import DatasetError
from pipeline.files.places import file_size
from pipeline.files.urls import SCHEMES, absolute, has_secret, is_remote, is_url, joined, local

MARK = "#"
"""Separates a file from its member: ``val-00.tar#dog/7.jpg``, ``train.parquet#0/17/image``."""


def location(root: str, uri: str) -> str:
    """Return the path or URL that a URI of the index resolves to; absolute ones ignore the root."""
    if is_url(uri) or posixpath.isabs(uri):
        return uri
    return joined(root, uri)


class Root:
    """A folder or an object store's prefix that relative URIs may not point outside of.

    Neither ``..`` nor, on a disk, a symbolic link may escape it. Absolute paths and URLs in a table
    are its author's explicit choice and are allowed.
    """

    def __init__(self, folder: str) -> None:
        self.remote = is_remote(folder)
        self.path = absolute(folder)
        self._real = os.path.realpath(self.path)
        self._inside: dict[str, bool] = {}

    def place(self, uri: str) -> str:
        """Return the canonical form of a URI: relative posix where inside the root, else absolute.

        Raises
        ------
        DatasetError
            The URI is empty, points outside the root, or its scheme is not supported.
        """
        if not uri or "\0" in uri:
            raise DatasetError("it is empty or contains a NUL character; give a file name")
        if is_remote(uri):
            return self._place_remote(uri)
        path = posixpath.normpath(local(uri))
        if posixpath.isabs(path):
            if self.remote:
                return path
            prefix = self.path.rstrip("/") + "/"
            if not path.startswith(prefix):
                return path
            path = path[len(prefix) :]
        if path in (".", "..") or path.startswith("../"):
            raise DatasetError(
                f"it is outside {self.path}; set dataset.root or give absolute paths"
            )
        if not self.remote:
            self._refuse_links_outside(path)
        return path

    def _place_remote(self, uri: str) -> str:
        scheme, _, key = uri.partition("://")
        if scheme not in SCHEMES:
            raise DatasetError(
                f"{scheme}:// is not supported; give {' or '.join(f'{s}://' for s in SCHEMES)} "
                "URLs, or copy the images to a folder"
            )
        if has_secret(uri):
            raise DatasetError("it contains a user, a password or a query; give plain URLs")
        bucket, *parts = key.split("/")
        if not bucket or not parts or not {"", ".", ".."}.isdisjoint(parts):
            raise DatasetError("it must be a bucket and a plain key, without //, . and ..")
        prefix = f"{self.path}/"
        return uri[len(prefix) :] if self.remote and uri.startswith(prefix) else uri

    def is_object(self, uri: str) -> bool:
        """Return whether a URI is that of an object in a store, whose size takes a request."""
        return is_remote(location(self.path, uri))

    def size(self, uri: str) -> int | None:
        """Return the size of a local file in bytes, or None where there is no regular file.

        None for objects of a store too, as their sizes would take a request each.
        """
        return None if self.is_object(uri) else self._size(uri)

    def exists(self, uri: str) -> bool:
        """Return whether a file or an object exists; DatasetError if that cannot be determined."""
        return self._size(uri) is not None

    def _size(self, uri: str) -> int | None:
        try:
            return file_size(location(self.path, uri))
        except OSError as error:
            reason = error.strerror or error
            raise DatasetError(f"cannot access {uri!r}: {reason}") from error

    def _refuse_links_outside(self, path: str) -> None:
        folder = posixpath.dirname(path)
        inside = self._inside.get(folder)
        if inside is None:
            inside = self._inside[folder] = self._contains(os.path.join(self.path, folder))
        full = os.path.join(self.path, path)
        if not inside or (os.path.islink(full) and not self._contains(full)):
            raise DatasetError(
                f"it is a symbolic link to a place outside {self.path}; "
                "set dataset.root above its target or give absolute paths"
            )

    def _contains(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real == self._real or real.startswith(self._real.rstrip("/") + "/")

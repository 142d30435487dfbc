"""``Root``: where relative URIs of a dataset lead, and which of them may be followed."""

import os
import posixpath

from pipeline.errors import DatasetError
from pipeline.files.places import file_size
from pipeline.files.urls import SCHEMES, absolute, has_secret, is_remote, is_url, joined, local

MARK = "#"
"""Between a file and what is in it: ``val-00.tar#dog/7.jpg``, ``train.parquet#0/17/image``."""


def location(root: str, uri: str) -> str:
    """Return the path or URL that a URI of the index means; absolute ones ignore the root."""
    if is_url(uri) or posixpath.isabs(uri):
        return uri
    return joined(root, uri)


class Root:
    """A folder or an object store's prefix that relative URIs may not leave.

    Neither ``..`` nor, on a disk, a symbolic link leads out of it. What a table names by an
    absolute path or a URL is its author's explicit choice and is allowed.
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
            The URI is empty, leaves the root, or its scheme cannot be fetched.
        """
        if not uri or "\0" in uri:
            raise DatasetError("it is empty or holds a NUL character; give a file name")
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
            raise DatasetError(f"it leaves {self.path}; set dataset.root or give absolute paths")
        if not self.remote:
            self._refuse_links_outside(path)
        return path

    def _place_remote(self, uri: str) -> str:
        scheme, _, key = uri.partition("://")
        if scheme not in SCHEMES:
            raise DatasetError(
                f"{scheme}:// cannot be fetched; give {' or '.join(f'{s}://' for s in SCHEMES)} "
                "URLs, or copy the images to a folder"
            )
        if has_secret(uri):
            raise DatasetError("it holds a user, a password or a query; give plain URLs")
        bucket, *parts = key.split("/")
        if not bucket or not parts or not {"", ".", ".."}.isdisjoint(parts):
            raise DatasetError("it must be a bucket and a plain key, without //, . and ..")
        prefix = f"{self.path}/"
        return uri[len(prefix) :] if self.remote and uri.startswith(prefix) else uri

    def is_object(self, uri: str) -> bool:
        """Return whether a URI means an object of a store, whose size takes a request."""
        return is_remote(location(self.path, uri))

    def size(self, uri: str) -> int | None:
        """Return the bytes of a local file, or None where there is no regular file.

        Objects are not asked for, as that takes a request each: None.
        """
        return None if self.is_object(uri) else self._size(uri)

    def there(self, uri: str) -> bool:
        """Return whether a file or an object is there; DatasetError if it cannot be found out."""
        return self._size(uri) is not None

    def _size(self, uri: str) -> int | None:
        try:
            return file_size(location(self.path, uri))
        except OSError as error:
            said = error.strerror or error
            raise DatasetError(f"cannot look at {uri!r}: {said}") from error

    def _refuse_links_outside(self, path: str) -> None:
        folder = posixpath.dirname(path)
        inside = self._inside.get(folder)
        if inside is None:
            inside = self._inside[folder] = self._contains(os.path.join(self.path, folder))
        full = os.path.join(self.path, path)
        if not inside or (os.path.islink(full) and not self._contains(full)):
            raise DatasetError(
                f"it is a symbolic link that leaves {self.path}; "
                "set dataset.root above its target or give absolute paths"
            )

    def _contains(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real == self._real or real.startswith(self._real.rstrip("/") + "/")

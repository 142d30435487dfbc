"""``Root``: where relative URIs of a dataset lead, and which of them may be followed."""

import errno
import os
import posixpath
import re
import stat
from urllib.parse import unquote, urlsplit

from pipeline.errors import DatasetError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_NOT_THERE = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL,
    errno.ENXIO,
}  # fmt: skip


def absent(error: OSError) -> bool:
    """Tell whether an I/O error means that there is no such file, now and after any retry."""
    return error.errno in _NOT_THERE


def is_url(uri: str) -> bool:
    """Tell whether a URI names its scheme."""
    return _SCHEME.match(uri) is not None


def local_path(root: str, uri: str) -> str:
    """Return the file that a URI of the index means; absolute ones ignore the root."""
    return os.path.join(root, uri)


class Root:
    """A local folder that relative URIs may not leave, neither by ``..`` nor by a symbolic link.

    What a table names by an absolute path or ``file://`` URI is its author's explicit choice and is
    allowed.
    """

    def __init__(self, folder: str) -> None:
        self.path = os.path.abspath(folder)
        self._real = os.path.realpath(folder)
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
        if is_url(uri):
            if not uri.lower().startswith("file://"):
                raise DatasetError(
                    f"{uri.split('://')[0]}:// cannot be fetched; copy the images to a local folder"
                )
            uri = unquote(urlsplit(uri).path)
        path = posixpath.normpath(uri)
        if posixpath.isabs(path):
            prefix = self.path.rstrip("/") + "/"
            if not path.startswith(prefix):
                return path
            path = path[len(prefix) :]
        if path in (".", "..") or path.startswith("../"):
            raise DatasetError(f"it leaves {self.path}; set dataset.root or give absolute paths")
        self._refuse_links_outside(path)
        return path

    def size(self, uri: str) -> int | None:
        """Return the bytes of a file, or None where there is no regular file."""
        try:
            status = os.stat(local_path(self.path, uri))
        except OSError as error:
            if absent(error):
                return None
            raise DatasetError(f"cannot look at {uri!r}: {error.strerror}") from error
        return status.st_size if stat.S_ISREG(status.st_mode) else None

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

"""URLs and local paths: distinguished, joined, and shown without their secrets."""

import os
import re
from urllib.parse import unquote, urlsplit

from pipeline.errors import ConfigError

SCHEMES = ("s3", "gs")

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|ACCESS_KEY|CREDENTIAL", re.IGNORECASE)
_QUERY = re.compile(r"\?[^/]*=")


def is_url(uri: str) -> bool:
    """Return whether a URI has a scheme."""
    return _URL.match(uri) is not None


def is_remote(uri: str) -> bool:
    """Return whether a URI is an object store's; ``file://`` is not."""
    match = _URL.match(uri)
    return match is not None and match[1].lower() != "file"


def local(uri: str) -> str:
    """Return the path of a path or a ``file://`` URL."""
    return unquote(urlsplit(uri).path) if is_url(uri) else uri


def plain(uri: str) -> str:
    """Return the path of a path or a ``file://`` URL, or the URL of an object store unchanged."""
    return uri if is_remote(uri) else local(uri)


def absolute(uri: str) -> str:
    """Return an absolute path, or the URL of an object store without a trailing slash."""
    return uri.rstrip("/") if is_remote(uri) else os.path.abspath(local(uri))


def joined(folder: str, name: str) -> str:
    """Return the place of a relative posix path in a folder or below a prefix."""
    return f"{folder.rstrip('/')}/{name}" if is_remote(folder) else os.path.join(folder, name)


def shown(uri: str) -> str:
    """Return a URI that is safe to show: without user, password and query."""
    if not is_url(uri) or not has_secret(uri):
        return uri
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://…{rest.rpartition('@')[2].partition('?')[0]}"


def redacted(text: str) -> str:
    """Return a text that is safe to show.

    Every URL is replaced by :func:`shown` of it, and every value of a secret environment variable
    by the variable's name.
    """
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= 8:
            text = text.replace(value, f"${name}")
    return _URL_IN_TEXT.sub(lambda match: shown(match[0]), text)


def has_secret(uri: str) -> bool:
    """Return whether a URL has a user, a password or a query, where keys and tokens are."""
    if not is_url(uri):
        return False
    rest = uri.partition("://")[2]
    return "@" in rest.partition("/")[0] or _QUERY.search(rest) is not None


def refuse_secrets(uri: str) -> str:
    """Return the URI.

    Raises
    ------
    ConfigError
        It contains credentials, which would end up in run.json, logs and reports. The message
        does not repeat them.
    """
    if has_secret(uri):
        raise ConfigError(
            f"{shown(uri)} contains a user, password or query, which would be stored with the "
            "run; give credentials in the environment (AWS_ACCESS_KEY_ID, …) and a plain URL"
        )
    return uri

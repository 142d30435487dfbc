"""URLs and local paths: told apart, joined, and shown without what must stay secret."""

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
    """Tell whether a URI names its scheme."""
    return _URL.match(uri) is not None


def is_remote(uri: str) -> bool:
    """Tell whether a URI is an object store's; ``file://`` is not."""
    match = _URL.match(uri)
    return match is not None and match[1].lower() != "file"


def local(uri: str) -> str:
    """Return a path, of a path or of a ``file://`` URL."""
    return unquote(urlsplit(uri).path) if is_url(uri) else uri


def plain(uri: str) -> str:
    """Return a path, of a path or of a ``file://`` URL, or the URL of an object store."""
    return uri if is_remote(uri) else local(uri)


def absolute(uri: str) -> str:
    """Return an absolute path, or the URL of an object store without a slash at its end."""
    return uri.rstrip("/") if is_remote(uri) else os.path.abspath(local(uri))


def joined(folder: str, name: str) -> str:
    """Return the place of a relative posix path in a folder or below a prefix."""
    return f"{folder.rstrip('/')}/{name}" if is_remote(folder) else os.path.join(folder, name)


def shown(uri: str) -> str:
    """Return a URI as it may be told to people: without user, password and query."""
    if not is_url(uri) or not has_secret(uri):
        return uri
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://…{rest.rpartition('@')[2].partition('?')[0]}"


def redacted(text: str) -> str:
    """Return a text as it may be told to people.

    Every URL is as :func:`shown` gives it, and in place of a value of the environment's secrets
    is the variable's name.
    """
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= 8:
            text = text.replace(value, f"${name}")
    return _URL_IN_TEXT.sub(lambda match: shown(match[0]), text)


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

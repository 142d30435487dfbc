"""A disk or quota without space, reported as one error."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import FlowatlasError, StoreFull, first_line

_FULL = re.compile(r"No space left|quota exceeded|os error (27|28|122)\b", re.IGNORECASE)
"""EFBIG, ENOSPC and EDQUOT, as the libraries that write put them into words."""


@contextmanager
def store_full_errors() -> Iterator[None]:
    """Turn any error that a library raises in the block because of a full disk into StoreFull."""
    try:
        yield
    except FlowatlasError:
        raise
    except Exception as error:
        if not _FULL.search(str(error)):
            raise
        raise StoreFull(
            f"there is no space left to write to ({first_line(error)}); make some and run the same "
            "command again: what is done is kept"
        ) from error

from collections.abc import Iterator

import pytest

from tests.object_store.server import s3_server


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """URL of an S3 endpoint with an empty bucket ``atlas``."""
    with s3_server() as url:
        yield url

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """URL of an S3 endpoint with an empty bucket ``atlas``."""
    from tests.object_store.server import s3_server

    with s3_server() as url:
        yield url

"""What the proxy breaks is retried; what it breaks for good is an error, never missing data."""

import pytest

from pipeline.images import Fetcher
from pipeline.remote import open_url
from pipeline.store.objects import read, write
from tests.object_store.server import FAULTS, FaultyProxy, environment

PAYLOAD = bytes(range(256)) * 400


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_survived(endpoint: str, fault: str) -> None:
    with FaultyProxy(endpoint, {fault: 0.3}, hang_seconds=0.2) as proxy, environment(proxy.url):
        store = open_url("s3://atlas/faults")
        for number in range(12):
            write(store, f"{fault}/{number}", PAYLOAD)
            assert read(store, f"{fault}/{number}") == PAYLOAD
            image = Fetcher(f"s3://atlas/faults/{fault}").fetch(str(number), 256, 512)
            assert image == PAYLOAD[:512]
        assert proxy.injected[fault] > 3

from pipeline.files.object_store import open_url
from pipeline.store.objects import sizes, write
from tests.object_store.runs import bucket_url
from tests.object_store.server import FaultyProxy, environment


def test_a_listing_that_breaks_off_is_read_again(endpoint: str) -> None:
    url = bucket_url("objects/many")
    written = {f"part/{number:03d}": 1 for number in range(40)}
    for path in written:
        write(open_url(url), path, b"1")
    with FaultyProxy(endpoint, {"cut": 0.4, "reset": 0.1}) as proxy, environment(proxy.url):
        for _ in range(12):
            assert sizes(open_url(url), "part") == written
        assert proxy.injected["cut"] > 0

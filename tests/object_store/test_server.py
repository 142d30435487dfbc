"""What the proxy breaks is retried; what it breaks for good is an error, never missing data."""

import time
from datetime import timedelta

import pytest

from pipeline.errors import FlowatlasError
from pipeline.files import object_store
from pipeline.files.object_store import open_url
from pipeline.images.fetch import Fetcher
from pipeline.store.objects import delete, exists, read, write, write_once
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
            assert write_once(store, f"{fault}/{number}-once", PAYLOAD) or fault == "lost"
            assert not write_once(store, f"{fault}/{number}-once", PAYLOAD)
            delete(store, f"{fault}/{number}-once")
            assert not exists(store, f"{fault}/{number}-once")
        assert proxy.injected[fault] > 3


def test_a_store_that_stays_away_is_an_error_and_no_missing_image(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "RETRY", {"max_retries": 1})
    with FaultyProxy(endpoint, {"503": 1.0}) as proxy, environment(proxy.url):
        with pytest.raises(OSError, match="503") as caught:
            Fetcher("s3://atlas/faults").fetch("away")
        assert not isinstance(caught.value, FileNotFoundError)
    assert proxy.requests == 2


def test_silence_ends_with_a_time_out_that_is_retried(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(open_url("s3://atlas/faults"), "silent", PAYLOAD)
    monkeypatch.setattr(object_store, "_SILENCE", timedelta(seconds=0.3))
    rates = {"hang": 1.0}
    with FaultyProxy(endpoint, rates, hang_seconds=30) as proxy, environment(proxy.url):
        proxy.limit = 1
        start = time.monotonic()
        assert Fetcher("s3://atlas/faults").fetch("silent") == PAYLOAD
        assert time.monotonic() - start < 30, "it did not wait for the answer that never came"
        assert proxy.injected == {"hang": 1}


def test_what_the_caller_did_wrong_is_not_retried(endpoint: str) -> None:
    with FaultyProxy(endpoint, {}) as proxy, environment(proxy.url):
        with pytest.raises(FlowatlasError, match="create the bucket"):
            write_once(open_url("s3://no-such-bucket/x"), "a", b"")
        assert proxy.requests == 1


def test_conditions_hold_over_real_http(endpoint: str) -> None:
    store = open_url("s3://atlas/faults")
    assert write_once(store, "once", b"1")
    assert not write_once(store, "once", b"2")
    assert read(store, "once") == b"1"
    with pytest.raises(FileNotFoundError):
        Fetcher("s3://atlas/faults").fetch("none")
    assert Fetcher("s3://atlas/faults").fetch("once", 5, 3) == b""
    assert Fetcher("s3://atlas/faults").fetch("once", 0, 0) == b""

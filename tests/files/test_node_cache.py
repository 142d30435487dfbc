"""A remote file is fetched once per node."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.files.node_cache import local_copy
from pipeline.files.object_store import open_url
from pipeline.store.objects import write
from tests.object_store.server import BUCKET, FaultyProxy, environment, s3_server

URL = f"s3://{BUCKET}/models/w.safetensors"
CONTENT = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWATLAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def endpoint():
    with s3_server() as url:
        write(open_url(f"s3://{BUCKET}/models"), "w.safetensors", CONTENT)
        yield url


def test_what_is_local_stays_where_it_is(cache: Path) -> None:
    assert local_copy("/a/b") == "/a/b"
    assert local_copy("file:///a/b%20c") == "/a/b c"
    assert local_copy("pretrained") == "pretrained"
    assert not cache.exists()


def test_many_ask_and_one_fetches(endpoint: str) -> None:
    with FaultyProxy(endpoint, {}) as proxy, environment(proxy.url):
        with ThreadPoolExecutor(6) as pool:
            paths = set(pool.map(local_copy, [URL] * 6))
        assert [Path(path).read_bytes() for path in paths] == [CONTENT]
        assert Path(paths.pop()).name == "w.safetensors"
        assert proxy.requests == 6 + 1


def test_a_rotten_copy_is_fetched_again_and_a_half_one_is_none(endpoint: str) -> None:
    path = Path(local_copy(URL))
    path.write_bytes(CONTENT[:-1] + b"?")
    path.with_name(path.name + ".part").write_bytes(b"half")
    assert Path(local_copy(URL)).read_bytes() == CONTENT


def test_another_version_is_another_copy(endpoint: str) -> None:
    store = open_url(f"s3://{BUCKET}/models")
    write(store, "v.txt", b"1")
    first = local_copy(f"s3://{BUCKET}/models/v.txt")
    write(store, "v.txt", b"2")
    second = local_copy(f"s3://{BUCKET}/models/v.txt")
    assert (Path(first).read_bytes(), Path(second).read_bytes()) == (b"1", b"2")


def test_what_is_not_there_is_named(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"there is no s3://.*none"):
        local_copy(f"s3://{BUCKET}/models/none")
    with pytest.raises(ConfigError, match=r"cannot fetch s3://no-such-bucket/x|there is no s3://"):
        local_copy("s3://no-such-bucket/x")

"""The same run in Google Cloud Storage, whose XML interface a proxy translates to S3's."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pipeline.engine import run_flows
from pipeline.store import open_run
from tests.engine.trees import tree
from tests.object_store.runs import remote_config, remote_dataset, tree_at
from tests.object_store.server import BUCKET, KEY, FaultyProxy


class GcsProxy(FaultyProxy):
    """Speaks GCS: its way to quote names, its condition for "unless it exists", no signature."""

    def forward(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        kept = {k: v for k, v in headers.items() if k.lower() not in ("authorization", "host")}
        scope = f"Credential={KEY}/20260101/us-east-1/s3/aws4_request"
        kept["Authorization"] = f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"
        if kept.pop("x-goog-if-generation-match", None) == "0":
            kept["If-None-Match"] = "*"
        return super().forward(method, path.replace("%2F", "/"), body, kept)


@pytest.fixture
def google(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with GcsProxy(endpoint, {}) as proxy:
        account = {"gcs_base_url": proxy.url, "disable_oauth": True}
        account |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        monkeypatch.setenv("GOOGLE_BASE_URL", proxy.url)
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(account))
        yield


def test_a_run_in_google_cloud_storage_has_the_same_bytes(google: None, tmp_path: Path) -> None:
    source = remote_dataset(tmp_path, "webdataset", f"gs://{BUCKET}/google/data", images=24)
    config = remote_config(tmp_path, "run", source)
    run_flows(config)
    there = config.model_copy(update={"run": f"gs://{BUCKET}/google/run"})
    run_flows(there)
    assert tree_at(there.run) == tree(config.run)
    assert open_run(there.run).summary().count_rows() == 24
    again: list[object] = []
    run_flows(there, on_receipt=again.append)
    assert not again

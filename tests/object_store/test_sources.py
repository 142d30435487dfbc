"""Datasets in buckets: listed in order, distinguished, re-used while they are the same."""

from pathlib import Path

import boto3
import pytest

from pipeline.config import DatasetConfig
from pipeline.engine import prepare, run_flows
from pipeline.errors import DatasetError, RunConflict
from pipeline.files.object_store import open_url
from pipeline.images import open_source
from pipeline.images.fetch import Fetcher
from pipeline.store.objects import write
from tests.engine.datasets import write_images
from tests.images.archives import tar_of
from tests.images.gallery import class_folders
from tests.images.indexed import indexed
from tests.object_store.runs import bucket_url, remote_config, remote_dataset, upload
from tests.object_store.server import BUCKET, FaultyProxy, environment


def test_a_prefix_is_the_folder_that_was_uploaded(endpoint: str, tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "images", ("cat", "dog & <b>", "é"), each=4)
    (folder / "cat/notes.txt").write_text("no image")
    (folder / ".hidden").mkdir()
    (folder / ".hidden/x.jpg").write_bytes(b"")
    url = bucket_url("sources/prefix")
    upload(folder, url)
    there, here = (open_source(DatasetConfig(source=place)) for place in (url, str(folder)))
    assert there.class_names == here.class_names == {0: "cat", 1: "dog & <b>", 2: "é"}
    assert indexed(there).rows.equals(indexed(here).rows)
    assert indexed(there).index.fingerprint == indexed(here).index.fingerprint
    row = indexed(there).rows.to_pylist()[5]
    assert Fetcher(there.root).fetch(row["uri"]) == (folder / row["uri"]).read_bytes()


@pytest.mark.parametrize(
    ("source", "message"),
    [("none", "nothing at s3://"), ("none/*.tar", "no .tar file"), ("none.csv", "none.csv")],
)
def test_what_is_not_there_is_named(endpoint: str, source: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        indexed(open_source(DatasetConfig(source=bucket_url(source))))


def test_a_bucket_that_is_not_there_is_named(endpoint: str) -> None:
    with pytest.raises(DatasetError, match="cannot list s3://no-such-bucket/x"):
        open_source(DatasetConfig(source="s3://no-such-bucket/x"))


def test_names_that_cannot_be_paths_are_an_error(endpoint: str) -> None:
    client = boto3.client("s3")
    client.put_object(Bucket=BUCKET, Key="sources/evil/a/x.jpg", Body=b"1")
    client.put_object(Bucket=BUCKET, Key="sources/evil/a/../../y.jpg", Body=b"1")
    with pytest.raises(DatasetError, match=r"not a valid path.*rename"):
        indexed(open_source(DatasetConfig(source=bucket_url("sources/evil"))))
    client.delete_object(Bucket=BUCKET, Key="sources/evil/a/../../y.jpg")


def test_a_table_of_objects_none_of_which_exists_is_refused(endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("uri\n" + "".join(f"{n}.jpg\n" for n in range(40)))
    fields = {"source": str(tmp_path / "t.csv"), "root": bucket_url("sources/wrong")}
    with FaultyProxy(endpoint, {}) as proxy, environment(proxy.url):
        with pytest.raises(DatasetError, match="none of the 40 files"):
            indexed(open_source(DatasetConfig.model_validate(fields)))
        assert proxy.requests == 16


def test_boxes_may_lie_in_the_bucket_too(endpoint: str, tmp_path: Path) -> None:
    url = bucket_url("sources/boxes")
    source = remote_dataset(tmp_path, "folder", url, images=6)
    content = f"uri,x0,y0,x1,y1\n{url}/class_1/0001.png,1,2,3,4\nclass_2/0002.png,0,0,5,5\n"
    write(open_url(url), "boxes.csv", content.encode())
    found = indexed(open_source(DatasetConfig(source=source, boxes=f"{url}/boxes.csv")))
    uris = found.rows["uri"].to_pylist()
    assert [uris[row] for row in found.boxes["row"].to_pylist()] == [
        "class_1/0001.png",
        "class_2/0002.png",
    ]


def test_archives_are_listed_without_their_bodies(endpoint: str, tmp_path: Path) -> None:
    members = [(f"{n:04d}.jpg", bytes(400_000)) for n in range(30)]
    tar_of(tmp_path / "tars/big.tar", members)
    url = bucket_url("sources/bodies")
    upload(tmp_path / "tars", url)

    class Counting(FaultyProxy):
        sent = 0

        def forward(self, *args: object) -> object:
            answer = super().forward(*args)
            self.sent += len(answer[2])
            return answer

    with Counting(endpoint, {}) as proxy, environment(proxy.url):
        assert len(indexed(open_source(DatasetConfig(source=url))).rows) == 30
        assert proxy.sent < 0.04 * 30 * 400_000
        assert proxy.requests < 2 * 30 + 10


def test_an_unchanged_dataset_is_not_scanned_again(endpoint: str, tmp_path: Path) -> None:
    url = bucket_url("sources/again")
    source = remote_dataset(tmp_path, "webdataset", url)
    config = remote_config(tmp_path, bucket_url("runs/again"), source)
    run_flows(config)
    with FaultyProxy(endpoint, {}) as proxy, environment(proxy.url):
        prepared = prepare(config)
        assert prepared.parts is None
        assert proxy.requests < 16
    members = [("new.png", b"not a picture"), ("new.json", b'{"label": 1}')]
    tar_of(tmp_path / "more/val-001.tar", members)
    upload(tmp_path / "more", url)
    with pytest.raises(RunConflict, match=r"20 removed \('val-001\.tar#000001\.png'.*1 added"):
        run_flows(config)


def test_a_changed_prefix_is_refused(endpoint: str, tmp_path: Path) -> None:
    url = bucket_url("sources/changed")
    config = remote_config(
        tmp_path, str(tmp_path / "run"), remote_dataset(tmp_path, "folder", url, images=10)
    )
    run_flows(config)
    upload(write_images(tmp_path / "more", images=12), url)
    with pytest.raises(RunConflict, match=r"2 added \('class_1/0010\.png', 'class_2/0011\.png'\)"):
        run_flows(config)

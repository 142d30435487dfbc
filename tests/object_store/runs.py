"""Datasets and runs in a bucket."""

import json
from pathlib import Path

import obstore

from pipeline.config import RunConfig
from pipeline.files.object_store import open_url
from pipeline.store import open_store
from pipeline.store.layout import LOGS
from pipeline.store.objects import read, sizes
from tests.engine.datasets import small_config, write_images
from tests.engine.trees import VARYING
from tests.images.archives import parquet_of, tar_of
from tests.object_store.server import BUCKET


def upload(folder: Path, url: str) -> None:
    """Copy a folder into a bucket."""
    store = open_url(url)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            obstore.put(store, str(path.relative_to(folder)), path)


def remote_dataset(folder: Path, kind: str, url: str, images: int = 40) -> str:
    """Put noise images into a bucket as one kind of dataset; return its source."""
    local = write_images(folder / "originals", images)
    files = sorted(local.rglob("*.png"), key=lambda path: path.name)
    contents = [path.read_bytes() for path in files]
    labels = [number % 3 for number in range(len(files))]
    if kind == "folder":
        upload(local, url)
        return url
    place = folder / kind
    if kind == "webdataset":
        for part in range(2):
            members = []
            for number in range(part, len(files), 2):
                members.append((f"{number:06d}.png", contents[number]))
                members.append(
                    (f"{number:06d}.json", json.dumps({"label": labels[number]}).encode())
                )
            tar_of(place / f"val-{part:03d}.tar", members)
        source = f"{url}/val-{{000..001}}.tar"
    elif kind == "parquet":
        for part in range(2):
            half = slice(part, None, 2)
            path = place / f"data/val-{part:05d}-of-00002.parquet"
            parquet_of(path, contents[half], labels[half], ("a", "b", "c"), row_group=7)
        source = url
    else:
        upload(local, f"{url}/images")
        rows = [f"images/{path.relative_to(local)}" for path in files]
        rows[1] = f"{url}/{rows[1]}"
        table = "".join(f"{row},{label}\n" for row, label in zip(rows, labels, strict=True))
        place.mkdir()
        (place / "table.csv").write_text("uri,label\n" + table)
        source = f"{url}/table.csv"
    upload(place, url)
    return source


def remote_config(folder: Path, run: str, source: str, **changes: object) -> RunConfig:
    """Return the configuration of a run of a remote dataset."""
    config = small_config(folder, dataset={"source": source}, **changes)
    return config.model_copy(update={"run": run if "://" in run else str(folder / run)})


def bucket_url(path: str) -> str:
    """Return a URL in the test's bucket."""
    return f"s3://{BUCKET}/{path}"


def tree_at(uri: str) -> dict[str, bytes]:
    """Return path → bytes of every object of a run anywhere, without what may differ."""
    store = open_store(uri)
    found = {}
    for path in sorted(sizes(store, "")):
        if path.startswith(f"{LOGS}/"):
            continue
        content = read(store, path)
        if path.startswith("receipts/"):
            receipt = json.loads(content)
            content = json.dumps({k: v for k, v in receipt.items() if k not in VARYING}).encode()
        found[path] = content
    return found

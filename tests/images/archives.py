"""Datasets in files: tar archives and Parquet files of images."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def tar_of(path: Path, members: Sequence[tuple[str, bytes]], **options: int) -> Path:
    """Write an uncompressed archive; names are stored as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **options) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def samples(
    images: Sequence[bytes], labels: Sequence[int], first: int = 0
) -> list[tuple[str, bytes]]:
    """Return the members of a WebDataset archive: ``000007.jpg`` and ``000007.cls``."""
    members = []
    for number, (image, label) in enumerate(zip(images, labels, strict=True), first):
        members += [(f"{number:06d}.jpg", image), (f"{number:06d}.cls", str(label).encode())]
    return members


def parquet_of(
    path: Path,
    images: Sequence[bytes | None],
    labels: Sequence[int],
    names: Sequence[str] = (),
    row_group: int = 4,
) -> Path:
    """Write a Parquet file as Hugging Face's ``datasets`` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": image, "path": f"{n}.jpg"} for n, image in enumerate(images)]
    table = pa.table({"image": pa.array(rows, kind), "label": pa.array(labels, pa.int64())})
    feature = {"names": list(names), "_type": "ClassLabel"}
    features = {"image": {"_type": "Image"}, "label": feature}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if names else {}
    pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=row_group)
    return path

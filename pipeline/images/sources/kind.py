"""From ``dataset`` of the configuration to a source that can be listed."""

import posixpath
import re

from pipeline.config import DatasetConfig
from pipeline.errors import ConfigError, DatasetError
from pipeline.files.listing import find_files
from pipeline.files.places import look_at, top_of
from pipeline.files.root import Root
from pipeline.files.tabular import SUFFIXES
from pipeline.files.urls import plain
from pipeline.images.sources.boxes import NO_BOXES, read_boxes
from pipeline.images.sources.folder import open_folder
from pipeline.images.sources.labels import read_labels
from pipeline.images.sources.parquet import SUFFIXES as PARQUET
from pipeline.images.sources.parquet import image_column, open_parquet, read_schema
from pipeline.images.sources.source import Source
from pipeline.images.sources.table import open_table
from pipeline.images.sources.webdataset import open_webdataset

_MANY = re.compile(r"[*{]")


def open_source(dataset: DatasetConfig) -> Source:
    """Open a folder of class folders, a table of URIs, tar archives or Parquet files with images.

    Raises
    ------
    ConfigError
        The kind cannot be told or read, or ``dataset.labels`` does not fit the dataset.
    DatasetError
        The source is missing, cannot be listed, or its tables contradict themselves.
    """
    source = plain(dataset.source)
    kind = _kind(source, dataset.kind)
    labels = read_labels(dataset.labels) if dataset.labels else None
    if kind != "table" and dataset.root:
        raise ConfigError(f"dataset.root is for tables; a {kind} is its own root: remove it")
    if kind != "parquet" and (dataset.image_column or dataset.label_column):
        raise ConfigError("dataset.image_column and label_column are for Parquet: remove them")
    root = _root(dataset, source, kind)
    boxes = read_boxes(dataset.boxes, root, labels) if dataset.boxes else NO_BOXES
    if kind == "folder":
        return open_folder(source, labels, boxes)
    if kind == "table":
        return open_table(source, root, labels, boxes)
    if kind == "webdataset":
        return open_webdataset(source, labels, boxes)
    image, label = dataset.image_column, dataset.label_column
    return open_parquet(source, labels, boxes, image=image, label=label)


def _root(dataset: DatasetConfig, source: str, kind: str) -> Root:
    if kind in ("webdataset", "parquet"):
        return Root(find_files(source, _suffixes(kind))[0])
    default = source if kind == "folder" else posixpath.dirname(source)
    root = Root(dataset.root or default or ".")
    if look_at(root.path) in ("file", "missing"):
        raise ConfigError(f"dataset.root {root.path} is not a folder")
    return root


def _suffixes(kind: str) -> tuple[str, ...]:
    return (".tar",) if kind == "webdataset" else PARQUET


def _kind(source: str, wanted: str) -> str:
    """Resolve ``auto`` and check that the source is there and is what it is said to be."""
    found = _by_name(source) or _by_content(source, wanted)
    if found == "table?":
        found = "table" if wanted == "table" else _table_or_images(source)
    if wanted not in ("auto", found):
        raise ConfigError(f"dataset.source {source} is a {found}: set dataset.kind to {found}")
    return found


def _by_name(source: str) -> str | None:
    """Return the kind that a file's name says; None for folders and prefixes."""
    found = look_at(source)
    if found == "folder":
        return None
    name = source.lower()
    if name.endswith((".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")):
        raise ConfigError(f"{source}: images in compressed archives have no place; unpack to .tar")
    many = _MANY.search(source) is not None
    if found == "missing" and not many:
        raise DatasetError(f"there is no {source}; check dataset.source")
    if name.endswith(".tar"):
        return "webdataset"
    if name.endswith(PARQUET):
        return "parquet" if many else "table?"
    if name.endswith(SUFFIXES):
        return "table"
    if many or found == "file":
        raise ConfigError(
            f"dataset.source {source} is neither a folder nor a {' or '.join(SUFFIXES)} table "
            "nor .tar archives"
        )
    return None


def _by_content(source: str, wanted: str) -> str:
    """Return the kind of a folder: archives or Parquet files at its top, or else images."""
    if wanted in ("folder", "webdataset", "parquet"):
        return wanted
    names = _top(source)
    if any(name.endswith(".tar") for name in names):
        return "webdataset"
    if not any(name.endswith(PARQUET) for name in names) and "data" in names:
        names = [name for name in _top(f"{source.rstrip('/')}/data") if name.endswith(PARQUET)]
    return "parquet" if any(name.endswith(PARQUET) for name in names) else "folder"


def _top(folder: str) -> list[str]:
    """Return the names in a folder or prefix, without those below."""
    folders, files = top_of(folder)
    if not folders and not files and look_at(folder) == "unknown":
        raise DatasetError(f"there is nothing at {folder}; check dataset.source")
    return [*folders, *files]


def _table_or_images(source: str) -> str:
    schema = read_schema(source, posixpath.basename(source))
    return "table" if image_column(schema) is None else "parquet"

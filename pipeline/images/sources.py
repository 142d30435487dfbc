"""From ``dataset`` of the configuration to a source that can be listed."""

import os
from pathlib import Path

from pipeline.config import DatasetConfig
from pipeline.errors import ConfigError, DatasetError
from pipeline.images.boxes import NO_BOXES, read_boxes
from pipeline.images.entry import Source
from pipeline.images.folder import open_folder
from pipeline.images.labels import read_labels
from pipeline.images.table import open_table
from pipeline.images.tables import SUFFIXES
from pipeline.images.uris import Root, is_url


def open_source(dataset: DatasetConfig) -> Source:
    """Open a folder of class folders or a table of URIs.

    Raises
    ------
    ConfigError
        The kind cannot be told or read, or ``dataset.labels`` does not fit the dataset.
    DatasetError
        The source is missing, cannot be listed, or its tables contradict themselves.
    """
    kind = _kind(dataset)
    labels = read_labels(dataset.labels) if dataset.labels else None
    if kind == "folder" and dataset.root:
        raise ConfigError("dataset.root is for tables; a folder is its own root: remove it")
    default = dataset.source if kind == "folder" else os.path.dirname(dataset.source)
    root = Root(dataset.root or default or ".")
    if not os.path.isdir(root.path):
        raise ConfigError(f"dataset.root {root.path} is not a folder")
    boxes = read_boxes(dataset.boxes, root, labels) if dataset.boxes else NO_BOXES
    if kind == "folder":
        return open_folder(dataset.source, labels, boxes)
    return open_table(dataset.source, root, labels, boxes)


def _kind(dataset: DatasetConfig) -> str:
    """Resolve ``auto`` and check that the source is there and is what it is said to be."""
    source = dataset.source
    if is_url(source):
        raise ConfigError(
            f"dataset.source {source} cannot be read: give a local folder, or a local "
            f"{' or '.join(SUFFIXES)} table"
        )
    path = Path(source)
    if not path.exists():
        raise DatasetError(f"there is no {source}; check dataset.source")
    if path.is_dir():
        found = "folder"
    elif path.suffix.lower() in SUFFIXES:
        found = "table"
    else:
        raise ConfigError(
            f"dataset.source {source} is neither a folder nor a {' or '.join(SUFFIXES)} table"
        )
    if dataset.kind not in ("auto", found):
        raise ConfigError(f"dataset.source {source} is a {found}: set dataset.kind to {found}")
    return found

"""``open_source``: from the configuration's ``dataset`` to a source that can be listed."""

import posixpath
from dataclasses import replace
from typing import TypedDict

from pipeline.config import DatasetConfig
from pipeline.errors import ConfigError
from pipeline.files.listing import find_files, is_file
from pipeline.files.places import look_at
from pipeline.files.root import Root
from pipeline.files.tabular import SUFFIXES as TABLES
from pipeline.files.urls import plain
from pipeline.images.sources.boxes import read_boxes
from pipeline.images.sources.exclusion import Exclusion
from pipeline.images.sources.folder import FolderSource, open_folder
from pipeline.images.sources.labels import Labels, read_labels
from pipeline.images.sources.layout import kind_of
from pipeline.images.sources.parquet import SUFFIXES as PARQUET
from pipeline.images.sources.parquet import ParquetSource, open_parquet
from pipeline.images.sources.source import Source
from pipeline.images.sources.table import TableSource, open_table
from pipeline.images.sources.webdataset import SUFFIXES as ARCHIVES
from pipeline.images.sources.webdataset import WebDatasetSource, open_webdataset


def open_source(dataset: DatasetConfig, names: Labels | None = None) -> Source:
    """Open a folder of class folders, tables of URIs, tar archives or Parquet files with images.

    Labels are those of ``dataset.labels``, or of ``names`` where that is given; without either
    the dataset's own indices, or the positions of its classes in its own order.

    Raises
    ------
    ConfigError
        The kind is ambiguous or unsupported, or ``dataset.labels`` does not fit the dataset.
    DatasetError
        The source is missing, cannot be listed, or its tables contradict themselves.
    """
    source = plain(dataset.source)
    kind = kind_of(source, dataset)
    labels = read_labels(dataset.labels) if dataset.labels and names is None else names
    if kind != "table" and dataset.root:
        raise ConfigError(f"dataset.root is only for tables, not for a {kind} dataset; remove it")
    several = dataset.label_separator or dataset.label_columns
    if kind == "folder" and (dataset.image_column or dataset.label_column or several):
        raise ConfigError(
            "dataset.image_column, label_column, label_columns and label_separator are for tables, "
            "archives and Parquet files; the labels of a folder are the names of its subfolders: "
            "remove these options"
        )
    if dataset.label_columns and (dataset.label_column or dataset.label_separator):
        raise ConfigError(
            "dataset.label_columns are columns of 0 and 1, one for each class; remove "
            "dataset.label_column and label_separator, or label_columns"
        )
    if kind in ("table", "parquet") and dataset.exclude is not None:
        raise ConfigError(
            f"dataset.exclude is for folders and archives, not for a {kind} dataset, whose rows "
            "are its images; remove it"
        )
    root = _root(dataset, source, kind)
    opened = _open(dataset, source, kind, root, labels)
    if not dataset.boxes:
        return opened
    return replace(opened, boxes=read_boxes(dataset.boxes, root, labels, opened.classes))


def _open(
    dataset: DatasetConfig, source: str, kind: str, root: Root, labels: Labels | None
) -> FolderSource | TableSource | WebDatasetSource | ParquetSource:
    columns = _Columns(
        image=dataset.image_column,
        label=dataset.label_column,
        separator=dataset.label_separator,
        flags=dataset.label_columns or (),
    )
    if kind == "folder":
        return open_folder(source, labels, exclusion=Exclusion(dataset.exclude))
    if kind == "table":
        return open_table(source, root, labels, own_folders=dataset.root is None, **columns)
    if kind == "webdataset":
        exclusion = Exclusion(dataset.exclude)
        return open_webdataset(source, labels, exclusion=exclusion, **columns)
    return open_parquet(source, labels, **columns)


class _Columns(TypedDict):
    image: str | None
    label: str | None
    separator: str | None
    flags: tuple[str, ...]


def _root(dataset: DatasetConfig, source: str, kind: str) -> Root:
    if kind in ("webdataset", "parquet"):
        return Root(find_files(source, ARCHIVES if kind == "webdataset" else PARQUET)[0])
    default = source
    if kind == "table":
        one = is_file(source, TABLES)
        default = posixpath.dirname(source) if one else find_files(source, TABLES)[0]
    root = Root(dataset.root or default or ".")
    if look_at(root.path) in ("file", "missing"):
        raise ConfigError(f"dataset.root {root.path} is not a folder")
    return root

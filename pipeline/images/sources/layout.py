"""Which kind of dataset a path is: by its name, or by the contents of the folder."""

import pyarrow as pa

from pipeline.config import DatasetConfig
from pipeline.errors import ConfigError, DatasetError
from pipeline.files.listing import find_files, is_pattern
from pipeline.files.places import look_at, top_of
from pipeline.files.root import location
from pipeline.files.tabular import SUFFIXES as TABLES
from pipeline.files.tabular import URI_COLUMNS, Table, find_column
from pipeline.images.sources.columns import image_column
from pipeline.images.sources.contents import (
    COMPRESSED,
    contents_below,
    first_image_in_a_folder,
    is_metadata,
    several_class_folders,
)
from pipeline.images.sources.parquet import SUFFIXES as PARQUET
from pipeline.images.sources.parquet import read_schema
from pipeline.images.sources.splits import folder_split
from pipeline.images.sources.webdataset import SUFFIXES as ARCHIVES


def kind_of(source: str, dataset: DatasetConfig) -> str:
    """Return folder, table, webdataset or parquet.

    Raises
    ------
    ConfigError
        It is none of them, or several at once: ``dataset.kind`` chooses.
    DatasetError
        It does not exist, cannot be listed, or holds nothing that can be read.
    """
    found = _by_name(source, dataset)
    if found is None:
        return _by_content(source) if dataset.kind == "auto" else dataset.kind
    if dataset.kind not in ("auto", found):
        raise ConfigError(f"dataset.source {source} is a {found}: set dataset.kind to {found}")
    return found


def _by_name(source: str, dataset: DatasetConfig) -> str | None:
    """Return the kind by a file's name; None for folders and prefixes."""
    found = look_at(source)
    if found == "folder":
        return None
    name = source.lower()
    if name.endswith(COMPRESSED):
        raise ConfigError(
            f"{source}: images cannot be read by byte range from a compressed archive; "
            "decompress it to .tar"
        )
    many = is_pattern(source)
    if found == "missing" and not many:
        raise DatasetError(f"there is no {source}; check dataset.source")
    if name.endswith(ARCHIVES):
        return "webdataset"
    if name.endswith(PARQUET):
        root, files = find_files(source, PARQUET)
        return _table_or_images(location(root, files[0].uri), files[0].uri, dataset)
    if name.endswith(TABLES):
        return "table"
    if many or found == "file":
        raise ConfigError(
            f"dataset.source {source} is neither a folder nor a {' or '.join(TABLES)} table "
            "nor .tar archives"
        )
    return None


def _table_or_images(place: str, name: str, dataset: DatasetConfig) -> str:
    """Return whether a Parquet file holds URIs or images, by the configuration or its columns."""
    if dataset.kind in ("table", "parquet"):
        return dataset.kind
    schema = read_schema(place, name)
    if column := dataset.image_column and find_column(schema.names, dataset.image_column):
        kind = schema.field(column).type
        return "table" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else "parquet"
    images = image_column(schema) is not None
    return "table" if not images and find_column(schema.names, *URI_COLUMNS) else "parquet"


def _by_content(source: str) -> str:
    """Return the kind of a folder: archives or Parquet files at its top, or else images."""
    folders, files = _top(source)
    held: dict[str, list[str]] = {
        "webdataset": [name for name in files if name.lower().endswith(ARCHIVES)],
        "parquet": [name for name in files if _is_parquet(name)],
    }
    if not any(held.values()) and "data" in folders:
        inner = _top(f"{source.rstrip('/')}/data")[1]
        held["parquet"] = [f"data/{name}" for name in inner if _is_parquet(name)]
    archives = any(held.values())
    metadata = _metadata(source, folders, files)
    class_folders = bool(metadata) and several_class_folders(source)
    if class_folders:
        # The folders are the labels. A CSV file may be there for human readers; Parquet is not.
        metadata = [name for name in metadata if name.lower().endswith(PARQUET)]
    held["table"] = metadata
    if folders and (archives or (metadata and class_folders)):
        image = first_image_in_a_folder(source)
        held["folder"] = [] if image is None else [image]
    kinds = {kind: names for kind, names in held.items() if names}
    if len(kinds) > 1:
        found = " and ".join(f"{_CALLED[kind]} ({_few(names)})" for kind, names in kinds.items())
        raise ConfigError(
            f"{source} contains {found}; choose one with dataset.kind: {' or '.join(kinds)}"
        )
    return next(iter(kinds), None) or _below(source)


def _below(source: str) -> str:
    """Return the kind of a folder whose top level does not determine it."""
    contents = contents_below(source)
    if contents.images:
        return "folder"
    kinds = {"webdataset": ARCHIVES, "parquet": PARQUET}
    found = [kind for kind, suffixes in kinds.items() if contents.has(suffixes)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(
            f"{source} contains {contents}; choose one with dataset.kind: {' or '.join(found)}"
        )
    raise DatasetError(f"there are no images below {source}, but {contents}{contents.advice}")


_CALLED = {
    "webdataset": ".tar archives",
    "parquet": "Parquet files",
    "table": "a table of its images",
    "folder": "folders of images",
}


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(PARQUET) and not is_metadata(name)


def _metadata(source: str, folders: list[str], files: list[str]) -> list[str]:
    """Return the tables called metadata, at the top or in the splits, that name images."""
    found = [name for name in files if is_metadata(name)]
    for folder in folders if not found else ():
        if folder_split(folder):
            inner = _top(f"{source.rstrip('/')}/{folder}")[1]
            found += [f"{folder}/{name}" for name in inner if is_metadata(name)]
    if not found or Table(f"{source.rstrip('/')}/{found[0]}").column(*URI_COLUMNS) is None:
        return []
    return found


def _few(names: list[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in sorted(names)[:2])
    return shown + (f", … {len(names)} in all" if len(names) > 2 else "")


def _top(folder: str) -> tuple[list[str], list[str]]:
    """Return the folders and the files at the top of a folder or prefix, without hidden ones."""
    folders, files = top_of(folder)
    if not folders and not files and look_at(folder) == "unknown":
        raise DatasetError(f"there is nothing at {folder}; check dataset.source")
    return _seen(folders), _seen(files)


def _seen(names: list[str]) -> list[str]:
    return sorted(name for name in names if name[0] != ".")

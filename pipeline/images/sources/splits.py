"""Splits and configurations of a dataset, from the names of its folders and files."""

import re
from collections.abc import Collection

from pipeline.errors import ConfigError

SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing", "dev"})
"""Names of splits, in lower case."""

_FOLDER = re.compile(
    rf"(?:{'|'.join(sorted(SPLITS, key=len, reverse=True))})"
    r"(?:[-_ ]?(?:set|split|data|images?|imgs?))*(?:[-_ ]?\d{1,5})?"
)
"""A folder of a split, in lower case: ``train``, ``val2017``, ``train_images``."""

_PARTIAL = "partial-"
"""Prefix of a split's folder where Hugging Face has converted the dataset only partially."""


def split_of(uri: str) -> str | None:
    """Return the split of a file, or None.

    The file's name begins with it (``train-00000-of-00004.parquet``), or else its nearest folder
    named like a split is it (``default/train/0000.parquet``).
    """
    *folders, name = uri.lower().split("/")
    for split in sorted(SPLITS):
        if name.startswith((f"{split}-", f"{split}_", f"{split}.")):
            return split
    return next((part for part in map(folder_split, reversed(folders)) if part), None)


def folder_split(name: str) -> str | None:
    """Return the split that a folder is named after, or None."""
    plain = name.lower().removeprefix(_PARTIAL)
    return plain if _FOLDER.fullmatch(plain) else None


def refuse_several_configs(source: str, uris: Collection[str]) -> None:
    """Refuse a folder of several configurations of a dataset, each with its own splits.

    Hugging Face's datasets have a folder for each (``default/train/0000.parquet``,
    ``en/train-00000-of-00001.parquet``); usually they hold the same images.

    Raises
    ------
    ConfigError
        The files with a split are below several folders; the source must name one of them.
    """
    configs = sorted(
        {uri.split("/")[0] for uri in uris if "/" in uri and split_of(uri.partition("/")[2])}
        - {uri.split("/")[0] for uri in uris if folder_split(uri.split("/")[0])}
    )
    if len(configs) > 1:
        raise ConfigError(
            f"{source} holds {len(configs)} configurations ({', '.join(configs[:5])}), each with "
            f"its own splits; choose one: dataset.source: {source.rstrip('/')}/{configs[0]}"
        )

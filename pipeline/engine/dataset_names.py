"""``names_in``: class names of archives and Parquet files, which only a scan finds."""

from collections.abc import Iterator, Mapping

from pipeline.config import DatasetConfig
from pipeline.images import build_index, open_source
from pipeline.models import number_in


def names_in(dataset: DatasetConfig) -> list[str]:
    """Scan a dataset for its class names, sorted; empty if all are numbers: class indices.

    Raises
    ------
    ConfigError, DatasetError
        The dataset cannot be read.
    """
    seen = _SeenNames()
    build_index(open_source(dataset, seen), lambda part, rows, boxes: None)
    return sorted(seen.names) if any(number_in(name) is None for name in seen.names) else []


class _SeenNames(Mapping[str, None]):
    """A mapping that labels nothing and records the names that are looked up."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> None:
        self.names.add(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

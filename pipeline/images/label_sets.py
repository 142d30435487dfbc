"""Several labels per image: lists, text with a separator, 0/1 vectors and 0/1 columns."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError, DatasetError

_YES = frozenset(("1", "1.0", "true", "yes"))
_NO = frozenset(("0", "0.0", "", "none", "nan", "false", "no"))
_VECTORS = "store booleans for a vector of 0 and 1, and every index once for a list of indices"


@dataclass(frozen=True)
class LabelSets:
    """How one value stands for all labels of an image.

    ``separator`` is what is between the labels in a text, ``flags`` are the columns that hold 0 or
    1 and are called as their label; ``vector`` means that a list has a 0 or 1 for every class.
    Without any of these a value is a list of labels.
    """

    separator: str | None = None
    flags: tuple[str, ...] = ()
    vector: bool = False

    def members(self, value: Any) -> list[Any] | None:
        """Return the labels in a value as they are stored; None if the image is unlabelled.

        Raises
        ------
        DatasetError
            It is not clear which labels these are.
        """
        if isinstance(value, str) and self.separator is not None:
            return [part for text in value.split(self.separator) if (part := text.strip())]
        if not isinstance(value, list | tuple):
            return None if value is None else [value]
        if any(isinstance(item, list | tuple | dict) for item in value):
            raise DatasetError(f"{value!r:.80} holds lists or records, not labels")
        if self.vector or (value and all(isinstance(item, bool) for item in value)):
            return [place for place, item in enumerate(value) if is_set(item, f"{value!r:.80}")]
        if len(set(value)) < len(value) and set(value) <= {0, 1}:
            raise DatasetError(
                f"{value!r:.80} may be a vector of 0 and 1 or a list of indices; {_VECTORS}"
            )
        return [item for item in value if item is not None]

    def distinct(self, column: pa.Array) -> set[Any]:
        """Return the distinct labels in a column, as they are stored."""
        if not is_list(column.type):
            values = column.unique().to_pylist()
        elif self.vector or pa.types.is_boolean(column.type.value_type):
            longest = pc.max(pc.list_value_length(column)).as_py()
            return set(range(longest or 0))
        else:
            values = [pc.list_flatten(column).unique().to_pylist()]
            return {item for value in values for item in value if item is not None}
        return {item for value in values for item in self.members(value) or ()}


def is_list(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds lists."""
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests)


def holds_labels(kind: pa.DataType) -> bool:
    """Return whether a column of this type may hold a label, or a list of labels, per row."""
    return not pa.types.is_nested(kind.value_type if is_list(kind) else kind)


def sets_of(
    kind: pa.DataType | None, separator: str | None, flags: Sequence[str], where: str
) -> LabelSets | None:
    """Return how a label column of a type gives several labels; None: it gives one.

    A list of a fixed length is a vector of 0 and 1, as are booleans.

    Raises
    ------
    ConfigError
        There is a separator, but nothing that it could separate.
    """
    if flags:
        return LabelSets(flags=tuple(flags))
    listed = kind is not None and is_list(kind)
    if separator is not None:
        if kind is None or listed:
            what = "there is no label column" if kind is None else "the label column holds lists"
            raise ConfigError(f"{where}: {what}; remove dataset.label_separator")
        return LabelSets(separator=separator)
    if not listed or kind is None:
        return None
    fixed = pa.types.is_fixed_size_list(kind) and kind.list_size > 1
    return LabelSets(vector=fixed and not pa.types.is_string(kind.value_type))


def set_flags(values: Mapping[str, Any], where: str) -> list[str]:
    """Return the names whose value is 1; an empty value counts as 0.

    Raises
    ------
    DatasetError
        A value is neither 0 nor 1, for example −1 for *uncertain*.
    """
    return [name for name, value in values.items() if is_set(value, f"{where}, {name}")]


def is_set(value: Any, where: str) -> bool:
    """Return whether a value is 1 rather than 0; DatasetError if it is neither."""
    text = str(value).strip().lower()
    if text not in _YES and text not in _NO:
        raise DatasetError(
            f"{where}: {str(value)[:40]!r} is neither 0 nor 1; decide whether such images have the "
            "label, and write 0 or 1"
        )
    return text in _YES


def label_set(
    members: Iterable[Any] | None, label: Callable[[Any], int | None]
) -> tuple[int, ...] | None:
    """Return the labels of an image as ascending outputs, without those that have no output."""
    if members is None:
        return None
    found = {label(member) for member in members}
    return tuple(sorted(output for output in found if output is not None))

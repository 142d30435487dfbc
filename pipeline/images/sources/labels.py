"""Class indices of the model from what a dataset calls its classes."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pipeline.errors import ConfigError
from pipeline.files.places import read_text

Labels = Mapping[str, int | None]

_LARGEST = 2**31 - 1


def quoted(names: Collection[str], most: int = 5) -> str:
    """Return a few names for an error message, hostile characters escaped."""
    shown = ", ".join(repr(name[:80]) for name in sorted(names)[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def read_labels(path: str) -> dict[str, int | None]:
    """Read a JSON object: name → class index; null leaves the images of that name unlabelled.

    Raises
    ------
    ConfigError
        The file is missing, is not JSON, or holds something else.
    """
    try:
        content = json.loads(read_text(path))
    except OSError as error:
        raise ConfigError(
            f"cannot read dataset.labels {path}: {error.strerror or error}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"dataset.labels {path} is not valid JSON: {error}") from error
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"dataset.labels {path} must be a JSON object: name → class index")
    wrong = [name for name, label in content.items() if label is not None and not _valid(label)]
    if wrong:
        raise ConfigError(
            f"dataset.labels {path}: {quoted(wrong)} must map to a class index (0, 1, …) or null"
        )
    return content


def folder_labels(names: Iterable[str], labels: Labels | None) -> dict[str, int | None]:
    """Return the label of every class folder: ``labels``, or 0..K-1 in order of the names.

    Raises
    ------
    ConfigError
        ``labels`` lacks some of the folders; they are named.
    """
    names = sorted(names)
    if labels is None:
        return {name: index for index, name in enumerate(names)}
    unknown = [name for name in names if name not in labels]
    if unknown:
        raise ConfigError(
            f"dataset.labels has no entry for folder {quoted(unknown)}; "
            "add it, with null to leave its images unlabelled"
        )
    return {name: labels[name] for name in names}


def table_labels(values: Iterable[Any], labels: Labels | None) -> dict[Any, int | None]:
    """Return the label of every distinct value of a table's label column.

    Without ``labels`` values are class indices (also as text or whole floats); nothing (null, NaN,
    an empty text) and −1 mean unlabelled. With ``labels`` the text of a value is looked up.

    Raises
    ------
    ConfigError
        Some values are neither; they are named.
    """
    result: dict[Any, int | None] = {}
    unknown: set[str] = set()
    for value in values:
        if value is None or value == "" or value != value:
            result[value] = None
        elif labels is not None:
            if (text := _text(value)) in labels:
                result[value] = labels[text]
            else:
                unknown.add(str(value))
        else:
            index = _index(value)
            if index is None:
                unknown.add(str(value))
            else:
                result[value] = None if index == -1 else index
    if unknown and labels is None:
        raise ConfigError(
            f"label {quoted(unknown)} is no class index; give dataset.labels, "
            "a JSON object: label → class index"
        )
    if unknown:
        raise ConfigError(f"dataset.labels has no entry for label {quoted(unknown)}; add it")
    return result


def class_names(labels: Mapping[str, int | None]) -> dict[int, str]:
    """Return label → name; of several names of one label the first in order."""
    names: dict[int, str] = {}
    for name, label in sorted(labels.items()):
        if label is not None:
            names.setdefault(label, name)
    return dict(sorted(names.items()))


def _valid(label: Any) -> bool:
    return isinstance(label, int) and not isinstance(label, bool) and 0 <= label <= _LARGEST


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _index(value: Any) -> int | None:
    """Return a class index or −1; None if the value is neither."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    whole = number.is_integer() and -1 <= number <= _LARGEST
    return int(number) if whole and not isinstance(value, bool) else None

"""From the names of a dataset's classes to class indices of the model."""

import json
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from pipeline.errors import ConfigError
from pipeline.files.places import read_text

Labels = Mapping[str, int | None]

_LARGEST = 2**31 - 1


class NamesNeeded(ConfigError):
    """The dataset names its classes, and they have not been mapped to outputs yet."""


def quoted(names: Collection[str], most: int = 5) -> str:
    """Return a few names for an error message, hostile characters escaped."""
    shown = ", ".join(repr(name[:80]) for name in sorted(names)[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def read_labels(path: str) -> dict[str, int | None]:
    """Read a JSON object: name → class index; null leaves images of that class unlabelled.

    An entry may also be an object with the index under ``output`` (as of ``flowatlas labels``).

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
    content = {name: _output(label) for name, label in content.items()}
    wrong = [name for name, label in content.items() if label is not None and not _valid(label)]
    if wrong:
        raise ConfigError(
            f"dataset.labels {path}: {quoted(wrong)} must map to a class index (0, 1, …) or null"
        )
    return content


def labels_json(
    labels: Mapping[str, int | None],
    named: Callable[[int], str],
    explained: Callable[[int], str],
    close: Callable[[str], Iterable[int]],
) -> str:
    """Return a mapping as a JSON file to edit, one entry per line; see :func:`read_labels`.

    Parameters
    ----------
    labels : mapping
        Name → class index; None where a person has to choose.
    named : callable
        Class index → its name in the model.
    explained : callable
        Class index → its name with its definition, to help a person choose.
    close : callable
        Name → class indices to choose from.
    """
    lines = []
    for name, label in labels.items():
        entry: dict[str, Any] = {"output": label}
        if label is None:
            entry["close"] = {str(index): explained(index) for index in close(name)}
        elif named(label):
            entry["name"] = named(label)
        lines.append(f" {json.dumps(name)}: {json.dumps(entry, ensure_ascii=True)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def folder_labels(names: Iterable[str], labels: Labels | None) -> dict[str, int | None]:
    """Return the label of every class folder: ``labels``, or 0..K-1 in order of the names.

    Raises
    ------
    ConfigError
        ``labels`` lacks some of the folders; the message lists them.
    """
    names = sorted(names)
    if labels is None:
        return {name: index for index, name in enumerate(names)}
    labels = composed(labels)
    known = {name: unicodedata.normalize("NFC", name) for name in names}
    unknown = [name for name in names if known[name] not in labels]
    if unknown:
        raise ConfigError(
            f"dataset.labels has no entry for folder {quoted(unknown)}; "
            "add it, with null to leave its images unlabelled"
        )
    return {name: labels[known[name]] for name in names}


def composed(labels: Labels) -> Labels:
    """Return a mapping with names in NFC; macOS and Linux encode accents differently."""
    if not isinstance(labels, dict):
        return labels
    return {unicodedata.normalize("NFC", name): label for name, label in labels.items()}


def table_labels(values: Iterable[Any], labels: Labels | None) -> dict[Any, int | None]:
    """Return the label of every distinct value of a table's label column.

    Without ``labels`` values are class indices (also as text or whole floats); null, NaN, an
    empty text and −1 mean unlabelled. With ``labels`` the text of a value is looked up.

    Raises
    ------
    ConfigError
        Some values are neither; the message lists them.
    """
    result: dict[Any, int | None] = {}
    unknown: set[str] = set()
    labels = labels if labels is None else composed(labels)
    for value in values:
        if value is None or value == "" or value != value:
            result[value] = None
        elif labels is not None:
            if (text := unicodedata.normalize("NFC", _text(value))) in labels:
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
        raise NamesNeeded(
            f"label {quoted(unknown)} is not a class index; give dataset.labels, "
            "a JSON object: label → class index"
        )
    if unknown:
        raise ConfigError(f"dataset.labels has no entry for label {quoted(unknown)}; add it")
    return result


def label_names(values: Iterable[Any]) -> list[str]:
    """Return the distinct names in a label column, sorted as text; null and "" are not names."""
    named = {_text(value) for value in values if value is not None and value == value}
    return sorted(unicodedata.normalize("NFC", name) for name in named if name)


def class_names(labels: Mapping[str, int | None]) -> dict[int, str]:
    """Return label → name; where a label has several names, the first one in order."""
    names: dict[int, str] = {}
    for name, label in sorted(labels.items()):
        if label is not None:
            names.setdefault(label, name)
    return dict(sorted(names.items()))


def _output(entry: Any) -> Any:
    return entry.get("output", entry) if isinstance(entry, dict) else entry


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

"""The names of a model's outputs."""

import json
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.nouns import counted


def class_names(spec: str | None, num_classes: int, more: bool = False) -> tuple[str, ...]:
    """Return one name per output of the model.

    Parameters
    ----------
    spec
        ``imagenet-1k`` (WordNet lemmas, as timm ships them); a file: JSON list, JSON object
        index → name, or text with one name per line; ``None`` for ``class 0``, ``class 1`` …
    num_classes
        Number of outputs; the file must have exactly as many names (an object may leave
        some out).
    more
        Whether there may be more names than that, as for a model without outputs, where
        ``num_classes`` is what the labels need.

    Raises
    ------
    ConfigError
        The file cannot be read or does not fit the model.
    """
    if spec is None:
        return tuple(f"class {index}" for index in range(num_classes))
    if spec == "imagenet-1k":
        from timm.data import ImageNetInfo

        names = [str(name) for name in ImageNetInfo("imagenet-1k").label_descriptions()]
    else:
        names = _read(Path(spec), num_classes, more)
    if len(names) < num_classes and more:
        raise ConfigError(
            f"dataset.classes: {spec} names {counted(len(names), 'class')} but the dataset has "
            "the label "
            f"{num_classes - 1}; give a file with more names, or null"
        )
    if len(names) != num_classes and not more:
        raise ConfigError(
            f"dataset.classes: {spec} names {counted(len(names), 'class')} but the model has "
            f"{counted(num_classes, 'output')}; give a file with {num_classes} names, or null"
        )
    return tuple(names)


def _read(path: Path, num_classes: int, more: bool) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = json.loads(text) if path.suffix == ".json" else text.splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(f"dataset.classes: cannot read {path}: {error}") from error
    if isinstance(content, dict):
        if more:
            highest = max((int(key) for key in content if key.isdecimal()), default=-1)
            num_classes = max(num_classes, highest + 1)
        return _by_index(content, num_classes, path)
    if not isinstance(content, list):
        raise ConfigError(f"dataset.classes: {path} must hold a list, or an object index → name")
    return [_text(name).strip() for name in content if _text(name).strip()]


def _by_index(content: dict[str, Any], num_classes: int, path: Path) -> list[str]:
    names = [f"class {index}" for index in range(num_classes)]
    for key, name in content.items():
        if not key.isdecimal() or int(key) >= num_classes:
            raise ConfigError(
                f"dataset.classes: {path} has the key {key!r}, but the model's classes are "
                f"0 … {num_classes - 1}"
            )
        names[int(key)] = _text(name)
    return names


def _text(name: object) -> str:
    """Return a name that can be written as UTF-8; JSON may contain unpaired surrogates."""
    return str(name).encode("utf-8", "replace").decode("utf-8")

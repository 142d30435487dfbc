"""``flow.target``: the class that is explained, checked before a worker starts. Needs no torch."""

from collections.abc import Sequence
from difflib import get_close_matches

from pipeline.config import RunConfig
from pipeline.engine.inspection.inspection import Inspection
from pipeline.errors import ConfigError
from pipeline.images import Index

WORDS = ("predicted", "label", "both")


def check_target(
    config: RunConfig, index: Index, inspected: Inspection, classes: Sequence[str]
) -> None:
    """Raise ConfigError unless ``flow.target`` is valid for method, model and dataset."""
    target = config.flow.target
    if target == "predicted":
        return
    if not inspected.targeted or not inspected.logits:
        why = (
            f"{config.model.name} has no classifier"
            if inspected.targeted
            else f"{config.flow.method} does not explain a class"
        )
        raise ConfigError(f"flow.target is {target!r}, but {why}; use predicted")
    if target not in WORDS:
        explained_class(target, classes[: inspected.logits])
    elif not index.labelled:
        raise ConfigError(f"flow.target is {target}, but the dataset has no labels; use predicted")


def explained_class(target: int | str, classes: Sequence[str]) -> int:
    """Return the index of the one class that ``flow.target`` names, by index or by name.

    Raises
    ------
    ConfigError
        There is no such class, or several have this name.
    """
    if isinstance(target, int):
        if not 0 <= target < len(classes):
            raise ConfigError(f"flow.target: {target} is not a valid class (0–{len(classes) - 1})")
        return target
    found = [index for index, name in enumerate(classes) if name == target]
    if len(found) > 1:
        raise ConfigError(
            f"flow.target: classes {', '.join(map(str, found))} are all called {target!r}; "
            "give the index"
        )
    if not found:
        close = get_close_matches(target, classes, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "see dataset.classes"
        raise ConfigError(
            f"flow.target: there is no class {target!r} ({hint}); "
            f"use {', '.join(WORDS)}, or a class's index or name"
        )
    return found[0]

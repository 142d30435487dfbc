"""Short names of classes: ``laptop`` for ``laptop, laptop computer`` where that is one class."""

from collections import Counter
from collections.abc import Sequence


def short_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the first of each class's synonyms; the whole name where classes would share it."""
    first = [name.split(", ")[0].strip() or name for name in names]
    shared = Counter(text.casefold() for text in first)
    return tuple(
        name if shared[text.casefold()] > 1 else text
        for name, text in zip(names, first, strict=True)
    )

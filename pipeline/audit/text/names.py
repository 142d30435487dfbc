"""Short names of classes: ``laptop`` for ``laptop, laptop computer`` where that is one class."""

import re
from collections import Counter
from collections.abc import Sequence

from pipeline.audit.text.quoting import visible


def short_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the first of each class's synonyms; the whole name where classes would share it."""
    first = [name.split(", ")[0].strip() or name for name in names]
    shared = Counter(text.casefold() for text in first)
    return tuple(
        name if shared[text.casefold()] > 1 else text
        for name, text in zip(names, first, strict=True)
    )


def shortened(sentences: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return sentences with the short names of the classes that they quote."""
    pairs = zip(names, short_names(names), strict=True)
    short = {visible(name): visible(text) for name, text in pairs if text != name}
    return [
        _QUOTED.sub(lambda found: f"“{short.get(found[1], found[1])}”", sentence)
        for sentence in sentences
    ]


_QUOTED = re.compile("“([^“”]*)”")

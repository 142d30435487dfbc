"""Brace expressions: ``val-{000000..000049}.tar`` names fifty files."""

import re
from collections.abc import Iterator
from itertools import product

from pipeline.errors import ConfigError
from pipeline.nouns import counted

_MOST = 1_000_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def expand(pattern: str) -> list[str]:
    """Return the names of a pattern with ``{first..last}`` (as wide as written) and ``{a,b}``.

    Several braces give every combination, the last one changing fastest. Braces do not nest.

    Raises
    ------
    ConfigError
        A brace is unmatched, nested or of neither kind, or there are more than a million names.
    """
    pieces = _BRACES.split(pattern)
    if any("{" in piece or "}" in piece for piece in pieces[::2]):
        raise ConfigError(f"{pattern}: braces must be matched and may not be nested")
    choices = [list(_choices(inside, pattern)) for inside in pieces[1::2]]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > _MOST:
        raise ConfigError(
            f"{pattern} names {counted(count, 'file')}; give a prefix or a table instead"
        )
    return [_joined(pieces[::2], chosen) for chosen in product(*choices)]


def _choices(inside: str, pattern: str) -> Iterator[str]:
    if match := _RANGE.fullmatch(inside):
        first, last = int(match[1]), int(match[2])
        if last < first or last - first >= _MOST:
            raise ConfigError(f"{pattern}: {{{inside}}} must ascend, over at most a million names")
        yield from (str(number).zfill(len(match[1])) for number in range(first, last + 1))
    elif "," in inside:
        yield from inside.split(",")
    else:
        raise ConfigError(f"{pattern}: {{{inside}}} is neither {{first..last}} nor {{a,b}}")


def _joined(fixed: list[str], chosen: tuple[str, ...]) -> str:
    return fixed[0] + "".join(a + b for a, b in zip(chosen, fixed[1:], strict=True))

"""Find a class by its name or its number."""

from collections.abc import Sequence
from difflib import get_close_matches

from pipeline.errors import ConfigError
from pipeline.nouns import counted


def find_class(name: str | int, names: Sequence[str]) -> int:
    """Return the number of a class.

    Raises
    ------
    ConfigError
        There is no such class, or there are several of that name.
    """
    number = name if isinstance(name, int) else None
    same = [i for i, other in enumerate(names) if other == name]
    if len(same) > 1:
        raise ConfigError(f"classes {same} are all named {name!r}; give one of the numbers")
    if same:
        number = same[0]
    if number is None or not 0 <= number < len(names):
        folded = {other.casefold(): other for other in names}
        close = get_close_matches(str(name).casefold(), folded, 3)
        hint = f"; did you mean {' or '.join(folded[key] for key in close)}?" if close else ""
        raise ConfigError(
            f"there is no class {name!r}; the run has {counted(len(names), 'class')}{hint}"
        )
    return number

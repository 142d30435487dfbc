"""How names from the data stand in sentences: in quotes, and as characters that only show."""

import unicodedata

_SHOWN = {"\u200c", "\u200d"}
"""Joiners, which words and emoji need; every other invisible mark can rearrange a line."""


def quote(name: str) -> str:
    r"""Return ``“name”`` with control, direction and undecodable characters written as ``\x1b``.

    A terminal obeys escape sequences, and anyone who names a folder could write to it.
    """
    return f"“{visible(name)}”"


def visible(text: str) -> str:
    r"""Return a text with its invisible characters written as ``\x1b``."""
    return "".join(
        character.encode("unicode_escape").decode("ascii") if is_invisible(character) else character
        for character in text
    )


def is_invisible(character: str) -> bool:
    """Return whether a character controls, hides or turns round what is shown."""
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return hidden and character not in _SHOWN

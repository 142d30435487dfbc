"""How names from the data stand in sentences: in quotes, and as characters that only show."""

import unicodedata

_SHOWN = {"\u200c", "\u200d"}
"""Joiners, which words and emoji need; every other invisible mark can rearrange a line."""


def quote(name: str) -> str:
    r"""Return ``“name”`` with control, direction and undecodable characters written as ``\x1b``.

    A terminal obeys escape sequences, and whoever names a folder could write to it.
    """
    return f"“{''.join(_visible(character) for character in name)}”"


def _visible(character: str) -> str:
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    if not hidden or character in _SHOWN:
        return character
    return character.encode("unicode_escape").decode("ascii")

"""``Exclusion``: what the user leaves out of a folder or of archives, by patterns of paths."""

from dataclasses import dataclass
from functools import cached_property
from re import Pattern

from pipeline.files.listing import path_pattern

EXCLUDED = "left out by dataset.exclude"


@dataclass(frozen=True)
class Exclusion:
    """Patterns of relative paths: ``*`` within a folder, ``**`` across folders.

    A pattern without a slash is one of file names, in any folder (``*_mask.png``). ``patterns`` is
    None where the user has not chosen, so that what is ambiguous is refused; if it is empty, all
    images are used.
    """

    patterns: tuple[str, ...] | None = None

    @property
    def chosen(self) -> bool:
        """Whether the user has said which images to leave out, if any."""
        return self.patterns is not None

    def __call__(self, uri: str) -> bool:
        """Return whether a file is left out."""
        name = uri.rpartition("/")[2]
        names, paths, _ = self._compiled
        return _any(names, name) or _any(paths, uri)

    def folder(self, uri: str) -> bool:
        """Return whether everything in a folder is left out."""
        return _any(self._compiled[2], uri)

    @cached_property
    def _compiled(self) -> tuple[list[Pattern[str]], list[Pattern[str]], list[Pattern[str]]]:
        """Patterns of names, of paths, and of folders."""
        patterns = self.patterns or ()
        return (
            [path_pattern(pattern) for pattern in patterns if "/" not in pattern],
            [path_pattern(pattern) for pattern in patterns if "/" in pattern],
            [path_pattern(pattern[:-3]) for pattern in patterns if pattern.endswith("/**")],
        )


def _any(patterns: list[Pattern[str]], text: str) -> bool:
    return any(pattern.fullmatch(text) for pattern in patterns)


ALL = Exclusion()
"""Nothing was chosen, nothing is left out."""

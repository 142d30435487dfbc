"""``Leftovers``: what a source found and does not use, with counts and examples."""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_NAMED = 3
_LONGEST = 80
_MOST_KINDS = 32
_OTHERS = "other things"


@dataclass(frozen=True)
class Leftover:
    """Items of one kind that are not used: the kind, their number, and three names."""

    what: str
    count: int
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return one line for display; names are untrusted text and are escaped."""
        named = ", ".join(repr(name) for name in self.names)
        more = ", …" if self.names and self.count > len(self.names) else ""
        return f"{self.what}: {self.count:,}" + (f" ({named}{more})" if named else "")

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Leftover":
        """Inverse of ``dataclasses.asdict``, also after JSON has turned tuples into lists."""
        return cls(str(content["what"]), int(content["count"]), tuple(content["names"]))


class Leftovers:
    """Collects what a source does not use, in constant memory.

    Of every kind, the three names with the fewest folders above them are kept, the first ones where
    several qualify: files at the top of a dataset are the most informative.
    """

    def __init__(self, found: Iterable[Leftover] = ()) -> None:
        self._counts: dict[str, int] = {}
        self._names: dict[str, list[tuple[int, int, str]]] = {}
        self.update(found)

    def update(self, found: Iterable[Leftover]) -> None:
        """Add what was counted elsewhere."""
        for leftover in found:
            for name in leftover.names:
                self.add(leftover.what, name)
            self.add(leftover.what, count=leftover.count - len(leftover.names))

    def add(self, what: str, name: str | None = None, count: int = 1) -> None:
        """Count one or more items of a kind; ``what`` is a plural noun."""
        if what not in self._counts and len(self._counts) >= _MOST_KINDS:
            what = _OTHERS
        before = self._counts.get(what, 0)
        self._counts[what] = before + count
        names = self._names.setdefault(what, [])
        if name is not None:
            depth = name.count("/")
            if len(names) < _NAMED or depth < names[-1][0]:
                insort(names, (depth, before, name[:_LONGEST]))
                del names[_NAMED:]

    @property
    def found(self) -> tuple[Leftover, ...]:
        """Every kind, in the order of first occurrence."""
        return tuple(
            Leftover(what, count, tuple(name for _, _, name in self._names[what]))
            for what, count in self._counts.items()
            if count
        )

"""Which output of a model a class name of a dataset refers to: matched by name, never guessed."""

import difflib
import re
import unicodedata
from collections.abc import ItemsView, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from pipeline.models.outputs.output_names import Outputs

_SEPARATORS = re.compile(r"[\s_\-]+")
_IDENTIFIED = re.compile(r"(n\d{8})(?:[\s_\-.].*)?")
"""``n02113186``, also with a suffix as in Stanford Dogs: ``n02113186-Cardigan``."""
_MOST = 0.75
_FEW = 0.05
_CLOSE = 0.6
_MOST_CLOSE = 5


def normal(name: str) -> str:
    """Return a name in its normal form: NFKC, case-folded; spaces, - and _ are equal."""
    return _SEPARATORS.sub(" ", unicodedata.normalize("NFKC", name).casefold()).strip()


@dataclass(frozen=True)
class Matching:
    """The outputs that match a dataset's names.

    Attributes
    ----------
    matched : dict
        Name → output.
    ambiguous : dict
        Name → the outputs it may refer to, or the output that another name refers to as well.
    unknown : tuple of str
        Names that match no output.
    in_order : bool
        Whether every name's output is its own position.
    """

    matched: dict[str, int]
    ambiguous: dict[str, tuple[int, ...]] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    in_order: bool = False

    @property
    def complete(self) -> bool:
        """Whether every name has its output."""
        return not self.ambiguous and not self.unknown


class Vocabulary(Mapping[str, int]):
    """Every name of a model's outputs → output, without names that may refer to two outputs.

    Parameters
    ----------
    outputs : Outputs
        Outputs with names.
    known : mapping, optional
        Names that were matched together (see :meth:`match`); these take precedence.
    """

    def __init__(self, outputs: Outputs, known: Mapping[str, int] | None = None) -> None:
        self.outputs = outputs
        self.met: dict[str, int] = {}
        """Names that were looked up and found."""
        self._known = dict(known or {})
        self._found: dict[str, set[int]] = {}
        for index in range(outputs.count):
            for alias in outputs.aliases(index):
                self._found.setdefault(normal(alias), set()).add(index)
        names = outputs.names or ()
        self._numbered = not any(number_in(name) is not None for name in names)

    def candidates(self, name: str, numbers: bool = True) -> tuple[int, ...]:
        """Return the outputs that a name may refer to, in order: by name, WordNet id or number."""
        if found := self._found.get(normal(name)):
            return tuple(sorted(found))
        identified = _IDENTIFIED.fullmatch(normal(name).replace(" ", "-"))
        if identified and (found := self._found.get(identified[1])):
            return tuple(sorted(found))
        number = number_in(name)
        if numbers and self._numbered and number is not None and number < self.outputs.count:
            return (number,)
        return ()

    def match(self, names: Sequence[str]) -> Matching:
        """Match the names of a dataset's classes, in the dataset's order, all together.

        A name that may refer to several outputs is ambiguous, with two exceptions: every name of
        the dataset is exactly the full name of one output; or the dataset has a class for every
        output, three quarters of its names match only the output at their own position, none
        matches others only, and at most one in twenty matches none (ImageNet's two cranes, in
        ImageNet's order). Two names that refer to one output are ambiguous, unless they differ in
        spelling only.
        """
        if (whole := self._letter_by_letter(names)) is not None:
            return Matching(whole, in_order=_at_home(names, whole))
        numbers = all(number_in(name) is not None for name in names)
        found = {name: self.candidates(name, numbers) for name in names}
        if self._in_order(names, found):
            return Matching({name: place for place, name in enumerate(names)}, in_order=True)
        takers: dict[int, set[str]] = {}
        for name, outputs in found.items():
            if len(outputs) == 1:
                takers.setdefault(outputs[0], set()).add(normal(name))
        matched = {n: o[0] for n, o in found.items() if len(o) == 1 and len(takers[o[0]]) == 1}
        return Matching(
            matched,
            {name: outputs for name, outputs in found.items() if outputs and name not in matched},
            tuple(name for name, outputs in found.items() if not outputs),
            _at_home(names, matched),
        )

    def close(self, name: str) -> list[int]:
        """Return outputs with similar names, the most similar first, for a person to choose."""
        wanted = normal(name)
        alike = difflib.get_close_matches(wanted, self._found, n=_MOST_CLOSE, cutoff=_CLOSE)
        words = {word for word in wanted.split() if len(word) > 2}
        shared = [key for key in self._found if words & set(key.split())] if words else []
        shared.sort(key=lambda key: -len(words & set(key.split())) / len(key.split()))
        ranked = [index for key in [*alike, *shared] for index in sorted(self._found[key])]
        return list(dict.fromkeys(ranked))[:_MOST_CLOSE]

    def _letter_by_letter(self, names: Sequence[str]) -> dict[str, int] | None:
        """Return name → output if all are full names and no synonym is spelt the same."""
        spelt: dict[str, set[int]] = {}
        for index in range(self.outputs.count):
            for alias in self.outputs.aliases(index):
                spelt.setdefault(_composed(alias), set()).add(index)
        matched = {}
        for name in names:
            found = spelt.get(_composed(name), set())
            if len(found) != 1 or _composed(self.outputs.name(*found)) != _composed(name):
                return None
            matched[name] = next(iter(found))
        return matched if len(set(matched.values())) == len(matched) else None

    def _in_order(self, names: Sequence[str], found: Mapping[str, tuple[int, ...]]) -> bool:
        if len(names) != self.outputs.count:
            return False
        if any(found[name] and place not in found[name] for place, name in enumerate(names)):
            return False
        alone = sum(len(found[name]) == 1 for name in names)
        unknown = sum(not found[name] for name in names)
        return alone >= _MOST * len(names) and unknown <= _FEW * len(names)

    def __getitem__(self, name: str) -> int:
        if name in self._known:
            index = self._known[name]
        else:
            candidates = self.candidates(name)
            if len(candidates) != 1:
                raise KeyError(name)
            index = candidates[0]
        self.met[name] = index
        return index

    def __iter__(self) -> Iterator[str]:
        return iter(self._plain)

    def __len__(self) -> int:
        return len(self._plain)

    def items(self) -> ItemsView[str, int]:
        """Return all pairs, without counting them as looked up."""
        return self._plain.items()

    @property
    def _plain(self) -> dict[str, int]:
        single = {key: next(iter(o)) for key, o in self._found.items() if len(o) == 1}
        return single | self._known


def order_is_clear(names: Sequence[str]) -> bool:
    """Return whether the names' order as text is their only plausible order.

    That is the order in which torchvision's ``ImageFolder`` numbers class folders. It is
    ambiguous where numeric order differs (``10`` before ``2``), where it depends on how a file
    system encodes accents (NFC, NFD), and where two names differ only in their spelling.
    """
    text = sorted(names)
    if len({normal(name) for name in text}) != len(text) or sorted(text, key=_natural) != text:
        return False
    return all(
        sorted(text, key=partial(unicodedata.normalize, form)) == text for form in ("NFC", "NFD")
    )


def number_in(name: str) -> int | None:
    """Return a name of ASCII digits as a number; None if it is something else."""
    text = name.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _at_home(names: Sequence[str], matched: Mapping[str, int]) -> bool:
    return all(matched.get(name) == place for place, name in enumerate(names))


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _natural(name: str) -> list[tuple[int, int]]:
    """Sort like text, but a run of digits by its number."""
    parts = re.findall(r"[0-9]+|[^0-9]", name)
    return [(ord("0"), int(p)) if p.isascii() and p.isdecimal() else (ord(p), 0) for p in parts]

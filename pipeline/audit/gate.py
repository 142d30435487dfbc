"""``Gate``: which findings make a command fail, for continuous integration."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.audit.finding import KINDS
from pipeline.errors import ConfigError, GateClosed

AUDITED = tuple(kind for kind in KINDS if kind != "drift")
"""Kinds of findings of a single run; drift needs two, and ``compare``."""

_GROUPS = {"shortcut": ("shortcut", "rare", "lead", "screened"), "any": KINDS}


@dataclass(frozen=True)
class Gate:
    """The kinds of findings that close the gate."""

    kinds: frozenset[str]

    @classmethod
    def of(cls, names: str, kinds: Sequence[str] = KINDS) -> "Gate":
        """Read a list of ``kinds`` separated by commas; ConfigError if one is not among them."""
        asked = [name.strip() for name in names.split(",") if name.strip()]
        unknown = [name for name in asked if name not in (*kinds, "any")]
        if unknown:
            raise ConfigError(
                f"unknown kind of finding: {', '.join(unknown)}; choose from "
                f"{', '.join(kinds)}, any"
            )
        return cls(frozenset(kind for name in asked for kind in _GROUPS.get(name, (name,))))

    def check(self, findings: pa.Table) -> None:
        """Raise GateClosed with the most severe finding of these kinds, if there is one."""
        closing = [row for row in findings.to_pylist() if row["kind"] in self.kinds]
        if closing:
            more = f" (and {len(closing) - 1} more)" if len(closing) > 1 else ""
            raise GateClosed(f"{closing[0]['kind']}: {closing[0]['sentence']}{more}")

"""Several users of one model: a lock, hooks of one thread, shared temporary attributes.

A pass is observed through hooks, which belong to the model and not to the method that registered
them. So a method takes the model's lock for every batch, its hooks only see passes of its own
thread, and changes of the model that last longer than a batch are reference-counted.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn


@dataclass
class _Hold:
    """A changed attribute with ``users``; ``owner`` is kept alive so that its id is not reused."""

    owner: object
    original: Any
    users: int = 0


_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_HOLDS: dict[tuple[int, str], _Hold] = {}
_GUARD = threading.Lock()
"""Guards both; held only briefly."""


def lock_of(model: nn.Module) -> threading.RLock:
    """Return the one lock of a model; it is held while a pass is observed."""
    with _GUARD:
        return _LOCKS.setdefault(model, threading.RLock())


def of_this_thread(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Return a hook that ignores the passes of other threads than the one that calls this."""
    mine = threading.get_ident()

    def guarded(*args: Any) -> Any:
        return hook(*args) if threading.get_ident() == mine else None

    return guarded


@contextmanager
def held(owners: Iterable[object], name: str, value: Any) -> Iterator[None]:
    """Set the attribute ``name`` of all owners to ``value`` until the context ends.

    Contexts may overlap in any order, also of different threads and of models that share modules:
    the first one to hold an attribute saves its value, and the last one restores it. All who hold
    an attribute at the same time must set the same value.
    """
    mine = list(owners)
    with _GUARD:
        for owner in mine:
            hold = _HOLDS.setdefault((id(owner), name), _Hold(owner, getattr(owner, name)))
            hold.users += 1
            setattr(owner, name, value)
    try:
        yield
    finally:
        with _GUARD:
            for owner in mine:
                hold = _HOLDS[id(owner), name]
                hold.users -= 1
                if not hold.users:
                    setattr(owner, name, hold.original)
                    del _HOLDS[id(owner), name]

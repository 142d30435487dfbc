"""What a room exports, imported when first asked for (PEP 562).

A room's front may name what needs torch or SciPy beside what needs nothing; whoever asks for one
name, or for a module of the room, pays for no other.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def lazy_exports(room: str, modules: Mapping[str, Sequence[str]]) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a package.

    Parameters
    ----------
    room
        The package's ``__name__``.
    modules
        Module of the package → the names it gives. No name may be that of a module of the
        package: importing the module would put it in the name's place.
    """
    places = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> object:
        if name not in places:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(import_module(f"{room}.{places[name]}"), name)

    return get

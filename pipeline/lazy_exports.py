"""What a room exports, imported when it is first used (PEP 562).

Some exports of a room need torch or SciPy and others need nothing. Importing one name, or one
module of the room, does not import the others.
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

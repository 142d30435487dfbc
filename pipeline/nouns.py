"""``counted``: a number with its noun, ``1 class`` and ``1,267 images``, in every sentence."""

_ES = ("s", "x", "ch", "sh")


def counted(count: float, noun: str) -> str:
    """Return a count with its noun, which is given in the singular: ``1 unit``, ``2,000 units``.

    Of what can be shared, such as GPUs, a count may be a fraction: ``0.5 GPUs``.
    """
    number = f"{int(count):,}" if count == int(count) else f"{count:.3g}"
    return f"{number} {noun if number == '1' else plural(noun)}"


def part_of(part: int, whole: int, noun: str) -> str:
    """Return ``3 of 20 images``; ``1 of 1 image``."""
    return f"{part:,} of {counted(whole, noun)}"


def plural(noun: str) -> str:
    """Return the plural of a regular English noun; of several words that of the last one."""
    if noun.endswith("y") and noun[-2] not in "aeou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(_ES) else f"{noun}s"


def agreeing(count: int, one: str, more: str) -> str:
    """Return the verb that goes with a count: ``is`` with 1, ``are`` with any other."""
    return one if count == 1 else more

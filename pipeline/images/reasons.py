"""``Reason``: why an image is quarantined or cannot be shown, each with its sentence."""

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """All reasons; the member's value is what summaries, receipts and logs store."""

    sentence: str
    """Its text in the report."""

    def __new__(cls, value: str, sentence: str) -> "Reason":
        """Make a member of its stored value and its sentence."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    EMPTY = "empty", "The file is empty."
    NOT_AN_IMAGE = "not_an_image", "The file is not an image."
    TRUNCATED = "truncated", "The file ends early."
    CORRUPT = "corrupt", "The image data are damaged."
    BOMB = "bomb", "More pixels than limits.max_pixels allows, or too many bytes to hold in memory."
    UNSUPPORTED = (
        "unsupported",
        "An image format or mode that is not supported; HEIC needs pip install 'flowatlas[heif]' "
        "on every node, JPEG XL 'flowatlas[jxl]'.",
    )
    BIT_DEPTH = (
        "bit_depth",
        "Its 16-bit samples seem to use fewer bits, or use more than dataset.bit_depth says; set "
        "that to the bits that the dataset uses (16: all).",
    )
    ANIMATED = "animated", "The file holds several frames."
    MISSING = "missing", "The file is missing."
    CRASHED = "crashed", "Decoding the file kills the process, so it is not read again."
    NON_FINITE = "non_finite", "The map has values that are not finite."
    NO_LABEL = "no_label", "The flow needs a label and the image has none."
    NO_REFERENCE = "no_reference", "The table of references lists none for the image."
    UNREACHABLE = "unreachable", "The storage could not be read."


def explain(reason: str) -> str:
    """Return the sentence of a stored reason; empty for one that a later version has stored."""
    known = Reason._value2member_map_.get(reason)
    return known.sentence if isinstance(known, Reason) else ""


def listed(reasons: Mapping[str, int]) -> str:
    """Return how often each reason was given, with the advice where an option helps."""
    counts = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    advised = (Reason.UNSUPPORTED, Reason.BIT_DEPTH, Reason.BOMB)
    return counts + "".join(f"; {r}: {r.sentence[:-1]}" for r in advised if r in reasons)


class Unusable(Exception):
    """A file cannot be used; carries the reason and, where known, width and height in pixels."""

    def __init__(self, reason: Reason, width: int = 0, height: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.width, self.height = reason, width, height

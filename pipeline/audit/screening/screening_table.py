"""Screening as it is stored: every part that came to the last round, with its sentence."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pipeline.audit.finding import SHOWN
from pipeline.audit.screening.judgement import WORDS, Judged
from pipeline.audit.screening.parts import PARTS
from pipeline.audit.stats.intervals import Rate, difference
from pipeline.audit.text.numbers import percent, rate
from pipeline.audit.text.quoting import quote
from pipeline.nouns import part_of

RATES = ("pasted", "rest", "others", "mirrored", "random", "erased", "plain")
_GAINS = ("paste_gain", "erase_gain")
SCREENING_SCHEMA = pa.schema(
    [
        pa.field("class", pa.int32(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("word", pa.string(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("donors", pa.int64(), nullable=False),
        pa.field("carriers", pa.int64(), nullable=False),
        *(pa.field(f"{name}_images", pa.int64(), nullable=False) for name in RATES),
        *(pa.field(f"{name}_rate", pa.float64()) for name in RATES),
        *(pa.field(f"{name}_low", pa.float64(), nullable=False) for name in (*RATES, *_GAINS)),
        *(pa.field(f"{name}_high", pa.float64(), nullable=False) for name in (*RATES, *_GAINS)),
        pa.field("q", pa.float64(), nullable=False),
        pa.field("left", pa.float64(), nullable=False),
        pa.field("chance", pa.float64(), nullable=False),
        pa.field("alike", pa.float64(), nullable=False),
        pa.field("covers", pa.float64(), nullable=False),
        pa.field("inside", pa.float64()),
        pa.field("others_inside", pa.float64()),
        pa.field("same_as", pa.int32()),
        pa.field("carrier_rows", pa.list_(pa.int64()), nullable=False),
        pa.field("carrier_gains", pa.list_(pa.float32()), nullable=False),
        pa.field("carrier_spots", pa.list_(pa.list_(pa.int8())), nullable=False),
        pa.field("other_rows", pa.list_(pa.int64()), nullable=False),
        pa.field("sentence", pa.string(), nullable=False),
    ]
)
"""``word`` is a key of :data:`~pipeline.audit.screening.judgement.WORDS`; rates are those of
:class:`~pipeline.audit.screening.examination.Examined`. ``same_as`` is the position of the row that
has the same carriers and a greater effect. The first rows of carriers and of others are shown, and
the top and left of each carrier's spot, in sixteenths of the sides, of a part that moves."""


def screening_table(judged: Sequence[Judged], names: Sequence[str]) -> pa.Table:
    """Return the table of judged parts, the largest effects first."""
    order = sorted(judged, key=lambda item: (-_effect(item), item.examined.candidate.class_id))
    rows = [_row(item, names[item.examined.candidate.class_id]) for item in order]
    for number, item in enumerate(order):
        rows[number]["same_as"] = next(
            (earlier for earlier in range(number) if _same(order[earlier], item)), None
        )
    return pa.Table.from_pylist(rows, schema=SCREENING_SCHEMA)


def _effect(item: Judged) -> float:
    """Return how many more images carriers turn than the others."""
    others = item.examined.others
    return item.examined.pasted.value - (others.value if others.images else 0.0)


def _same(one: Judged, other: Judged) -> bool:
    """Return whether two parts of a class are called the same and have mostly the same carriers."""
    mine, yours = set(one.examined.carriers), set(other.examined.carriers)
    return (
        one.examined.candidate.class_id == other.examined.candidate.class_id
        and one.word == other.word
        and 2 * len(mine & yours) >= min(len(mine), len(yours))
    )


def _row(item: Judged, name: str) -> dict[str, Any]:
    found = item.examined
    strengths = zip(found.candidate.carriers, found.candidate.strengths, strict=True)
    gains = dict(strengths)
    spots = dict(zip(found.candidate.carriers, found.candidate.spots, strict=False))
    row: dict[str, Any] = {
        "class": found.candidate.class_id,
        "class_name": name,
        "part": found.candidate.part,
        "word": item.word,
        "verdict": item.verdict,
        "donors": len(found.carriers) + len(found.plain_rows),
        "carriers": len(found.carriers),
        "q": item.q,
        "left": found.candidate.left,
        "chance": found.candidate.chance,
        "alike": item.alike,
        "covers": found.covers,
        "inside": found.inside,
        "others_inside": found.others_inside,
        "carrier_rows": found.carriers[:SHOWN],
        "carrier_gains": [gains[row] for row in found.carriers[:SHOWN]],
        "carrier_spots": [list(spots[row]) for row in found.carriers[:SHOWN] if row in spots],
        "other_rows": found.plain_rows[:SHOWN],
    }
    for key in RATES:
        tested: Rate = getattr(found, key)
        row |= tested.columns(key)
    row["paste_gain_low"], row["paste_gain_high"] = item.gain
    row["erase_gain_low"], row["erase_gain_high"] = difference(found.erased, found.plain)
    return row | {"sentence": sentence(item, name)}


def sentence(item: Judged, name: str) -> str:
    """Return what was found and why it is called so; every number is in the row."""
    found = item.examined
    part = PARTS[found.candidate.part]
    what = _WHAT[part.moves or part.is_property].format(part.words)
    carriers, donors = len(found.carriers), len(found.carriers) + len(found.plain_rows)
    return (
        f"{what} {part_of(carriers, donors, 'image')} of {quote(name)}, put onto images of other "
        f"classes, turns {percent(found.pasted.value)} of them into {quote(name)}; that of its "
        f"other images {_share(found.others)}, that of images of other classes "
        f"{_share(found.random)}. {_reason(item)}."
    )


_WHAT = {False: "What lies over the same place ({}) of", True: "The {} of"}
"""By whether it has no place of its own."""


def _share(found: Rate) -> str:
    return percent(found.value) if found.images else "was not tested"


def _reason(item: Judged) -> str:
    """Return what it is called, and why."""
    candidate = item.examined.candidate
    left, chance = percent(candidate.left), f"p = {rate(candidate.chance)}"
    if item.word == "shortcut":
        return f"{left} of the images of other classes have as much of it ({chance}): a shortcut"
    return _REASONS[item.word].format(chance=chance)


_REASONS = {
    "unclear": "They share nothing that is theirs alone ({chance}), or whole pictures: a shortcut "
    "or a part of the object; look at the images",
    "object": "It works in many images of the class, or lies on the object in these: a part of the "
    "object",
    "nothing": "That is no proven effect",
}
assert {*_REASONS, "shortcut"} == WORDS.keys()

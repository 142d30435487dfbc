"""What may befall a run's objects while nobody looks."""

import json
import random
from collections.abc import Callable
from pathlib import Path


def lose_a_receipt(run: Path, dice: random.Random) -> None:
    _any(run, "receipts/*.json", dice).unlink()


def garble_a_receipt(run: Path, dice: random.Random) -> None:
    path = _any(run, "receipts/*.json", dice)
    path.write_bytes(path.read_bytes()[:40])


def make_a_receipt_stale(run: Path, dice: random.Random) -> None:
    """Leave the receipt of another configuration in the place of a unit's own."""
    path = _any(run, "receipts/*.json", dice)
    path.write_text(json.dumps({**json.loads(path.read_text()), "run_hash": "another"}))


def tear_a_shard(run: Path, dice: random.Random) -> None:
    path = _any(run, "flows.zarr/*/c/**/*", dice)
    path.write_bytes(path.read_bytes()[:-1])


def lose_an_object(run: Path, dice: random.Random) -> None:
    _any(run, dice.choice(["flows.zarr/*/c/**/*", "summary/*"]), dice).unlink()


def leave_half_a_file(run: Path, dice: random.Random) -> None:
    path = _any(run, "summary/*", dice)
    path.with_name(f"{path.name}#7").write_bytes(b"half")


DAMAGE: tuple[Callable[[Path, random.Random], None], ...] = (
    lose_a_receipt,
    garble_a_receipt,
    make_a_receipt_stale,
    tear_a_shard,
    lose_an_object,
    leave_half_a_file,
)
"""What the next start notices by itself."""


def rot(run: Path, dice: random.Random) -> None:
    """Flip one bit of an object: only its hash tells."""
    path = _any(run, dice.choice(["flows.zarr/*/c/**/*", "summary/*"]), dice)
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def _any(run: Path, pattern: str, dice: random.Random) -> Path:
    found = sorted(path for path in run.glob(pattern) if path.is_file() and "#" not in path.name)
    if not found:
        raise FileNotFoundError(f"{run} has no {pattern} yet")
    return dice.choice(found)

"""What has to be the same in two runs of one configuration."""

import json
from pathlib import Path

from pipeline.store.layout import LOGS

VARYING = ("attempt", "host", "seconds", "memory")
"""Fields of a receipt that may differ between runs."""


def tree(run: str | Path) -> dict[str, bytes]:
    """Return path → bytes of every object of a run, without what may differ."""
    folder = Path(run)
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and folder / LOGS not in path.parents:
            content = path.read_bytes()
            if path.parent.name == "receipts":
                receipt = json.loads(content)
                content = json.dumps(
                    {k: v for k, v in receipt.items() if k not in VARYING}
                ).encode()
            found[str(path.relative_to(folder))] = content
    return found

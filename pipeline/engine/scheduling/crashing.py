"""Which images kill the process that reads them: found out in processes that may die."""

import logging
import os
import subprocess
import sys

from pipeline.engine.batch import indexed_images, load_image
from pipeline.engine.clock import Clock
from pipeline.store import Unit
from pipeline.store.crops import image_reader
from pipeline.store.reader import open_run

_log = logging.getLogger(__name__)


def crashing_rows(uri: str, unit: Unit) -> frozenset[int]:
    """Return the rows of a unit that kill a process that fetches, decodes and transforms them.

    A child reads one image after the other and names each before it does. When it dies of a
    signal, the last one named is guilty and another child goes on behind it.

    Raises
    ------
    RuntimeError
        A child failed otherwise; trying again may help.
    """
    guilty = set[int]()
    start = unit.lo
    while start < unit.hi:
        child = subprocess.run(
            [sys.executable, "-m", __name__, uri, str(start), str(unit.hi)],
            capture_output=True,
            text=True,
            check=False,
            # A worker may have been given its modules' places in other ways than the environment.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        if child.returncode == 0:
            break
        named = child.stdout.split()
        if child.returncode > 0 or not named:
            raise RuntimeError(f"looking for an image that kills its reader: {child.stderr[-500:]}")
        _log.warning("row %s kills the process that reads it and is quarantined", named[-1])
        guilty.add(int(named[-1]))
        start = int(named[-1]) + 1
    return frozenset(guilty)


def _read(uri: str, lo: int, hi: int) -> None:
    run, clock = open_run(uri), Clock()
    reader = image_reader(run)
    for image in indexed_images(run.index_rows(lo, hi), run.box_rows(lo, hi)):
        print(image.row, flush=True)
        load_image(image, reader, (), clock)


if __name__ == "__main__":
    _read(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

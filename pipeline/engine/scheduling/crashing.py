"""Finds the images that crash the process that reads them, in child processes."""

import logging
import os
import subprocess
import sys

from pipeline.engine.batch import indexed_images, load_image
from pipeline.engine.usage.clock import Clock
from pipeline.store import Unit
from pipeline.store.crops import image_reader
from pipeline.store.reader import open_run

_log = logging.getLogger(__name__)


def crashing_rows(uri: str, unit: Unit) -> frozenset[int]:
    """Return the rows of a unit that kill the process that fetches, decodes and transforms them.

    A child process reads the images in order and prints each row before it starts on it. When a
    signal kills the child, the last printed row is the cause, and a new child continues after it.

    Raises
    ------
    RuntimeError
        A child failed in another way; trying again may help.
    """
    crashing = set[int]()
    start = unit.lo
    while start < unit.hi:
        child = subprocess.run(
            [sys.executable, "-m", __name__, uri, str(start), str(unit.hi)],
            capture_output=True,
            text=True,
            check=False,
            # The worker's sys.path may hold more than PYTHONPATH does.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        if child.returncode == 0:
            break
        printed = child.stdout.split()
        if child.returncode > 0 or not printed:
            raise RuntimeError(f"looking for an image that kills its reader: {child.stderr[-500:]}")
        _log.warning("row %s kills the process that reads it and is quarantined", printed[-1])
        crashing.add(int(printed[-1]))
        start = int(printed[-1]) + 1
    return frozenset(crashing)


def _read(uri: str, lo: int, hi: int) -> None:
    run, clock = open_run(uri), Clock()
    reader = image_reader(run)
    for image in indexed_images(run.index_rows(lo, hi), run.box_rows(lo, hi)):
        print(image.row, flush=True)
        load_image(image, reader, (), clock)


if __name__ == "__main__":
    _read(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

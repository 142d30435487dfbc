"""``open_readers``: the readers of a worker."""

from contextlib import AbstractContextManager

import torch

from pipeline.config import ReadersKind
from pipeline.engine.reading.messages import Settings
from pipeline.engine.reading.processes import process_readers
from pipeline.engine.reading.readers import AHEAD, UNITS, Readers
from pipeline.engine.reading.ring import Shape
from pipeline.engine.reading.threads import thread_readers
from pipeline.images import InputTransform
from pipeline.store import Run
from pipeline.store.crops import image_reader


def open_readers(run: Run, count: int, kind: ReadersKind) -> AbstractContextManager[Readers]:
    """Open ``count`` readers: processes beside a GPU, else threads, unless ``kind`` says which.

    Threads cost less where computing leaves the interpreter's lock to them, as on a CPU; beside a
    GPU, which is fed by many small calls, they would hold it up.
    """
    if resolved(kind) == "threads":
        return thread_readers(image_reader(run), count)
    return process_readers(settings(run), count)


def resolved(kind: ReadersKind) -> ReadersKind:
    """Return what ``auto`` means in this process."""
    if kind != "auto":
        return kind
    return "processes" if torch.cuda.is_available() else "threads"


def settings(run: Run) -> Settings:
    """Return what reader processes of a run need to know."""
    transform = InputTransform.from_dict(run.spec.input)
    height, width = transform.size
    # Every unit has batches ahead; the one that is computed has another in use.
    shape = Shape(UNITS * AHEAD + 1, run.config.flow.batch_size, (height, width))
    return Settings(
        root=run.spec.root,
        transform=transform.to_dict(),
        max_pixels=run.config.limits.max_pixels,
        bit_depth=run.config.dataset.bit_depth,
        shape=shape,
    )

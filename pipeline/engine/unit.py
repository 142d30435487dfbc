"""``process_unit``: fetch, decode, flow, measure, commit. Knows nothing of Ray."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pipeline.engine.batch import indexed_images, load_image, read_ahead
from pipeline.engine.clock import Clock
from pipeline.engine.compute import assemble, compute_batch
from pipeline.engine.context import Context
from pipeline.store import Receipt, Unit, commit_unit


def process_unit(unit: Unit, context: Context, attempt: int = 1) -> Receipt:
    """Compute and store one unit; threads read the next batches while one is computed.

    The same unit gives the same bytes on any worker, at any attempt, beside any other units.

    Parameters
    ----------
    unit : Unit
    context : Context
    attempt : int
        For the receipt: how often this driver has started the unit.
    """
    run, clock = context.run, Clock()
    images = indexed_images(run.index_rows(unit.lo, unit.hi), run.box_rows(unit.lo, unit.hi))
    load = partial(load_image, context=context)
    computed = []
    with ThreadPoolExecutor(context.threads, thread_name_prefix="read") as readers:
        batches = read_ahead(images, run.config.flow.batch_size, readers, load)
        while True:
            with clock("wait for images"):
                batch = next(batches, None)
            if batch is None:
                break
            with clock("compute"):
                computed.append(compute_batch(batch, context))
    with clock("assemble"):
        data = assemble(computed, run.spec)
    return commit_unit(run.store, run.spec, unit, data, attempt=attempt, seconds=clock.seconds)

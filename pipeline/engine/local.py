"""``LocalEngine``: the units one after another, in this process."""

from collections.abc import Iterator, Sequence

from pipeline.engine.context import open_context
from pipeline.engine.engine import Job, give_up
from pipeline.engine.unit import process_unit
from pipeline.errors import FlowatlasError
from pipeline.store import Receipt, Unit


class LocalEngine:
    """Computes in this process with ``threads`` CPU threads; for tests, debugging, small runs."""

    workers = 1

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def run(self, job: Job, units: Sequence[Unit]) -> Iterator[Receipt]:
        """Yield the receipts in order of units; see :class:`Engine`."""
        with open_context(job.uri, threads=self._threads) as context:
            for unit in units:
                for attempt in range(1, job.attempts + 1):
                    try:
                        receipt = process_unit(unit, context, attempt)
                        break
                    except FlowatlasError:
                        raise
                    except Exception as error:
                        if attempt == job.attempts:
                            raise give_up(unit, attempt, error) from error
                yield receipt

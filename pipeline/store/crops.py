"""``CropReader``: what the model saw of some rows of a run, read again from the dataset."""

from collections.abc import Iterable

import pyarrow.compute as pc

from pipeline.errors import FlowatlasError
from pipeline.images import Crop, ImageReader, InputTransform, Place, Reason
from pipeline.store.reader import Run


def image_reader(run: Run) -> ImageReader:
    """Return a reader of a run's dataset, as the run's model gets its images."""
    config, transform = run.config, InputTransform.from_dict(run.spec.input)
    depth = config.dataset.bit_depth
    return ImageReader(run.spec.root, transform, config.limits.max_pixels, depth)


class CropReader:
    """Reads the images of some rows; safe to share between threads.

    Rows that killed the process that read them in the run (``crashed``) are never read again.
    """

    def __init__(self, run: Run, rows: Iterable[int], reader: ImageReader | None = None) -> None:
        wanted = sorted(set(rows))
        found = run.index_take(wanted).to_pylist()
        self._places = {
            row: Place(place["uri"], place["offset"], place["length"])
            for row, place in zip(wanted, found, strict=True)
        }
        deadly = pc.field("row").isin(wanted) & (pc.field("reason") == str(Reason.CRASHED))
        crashed = run.summary().to_table(columns=["row"], filter=deadly)
        self._crashed = frozenset(crashed["row"].to_pylist())
        self._reader = reader or image_reader(run)

    def load(self, row: int) -> Crop:
        """Read the image of a row.

        Raises
        ------
        OSError
            What may pass, such as a store that does not answer: trying again may help.
        """
        if row in self._crashed:
            return Crop(None, Reason.CRASHED)
        return self._reader.load(self._places[row])

    def show(self, row: int) -> Crop:
        """Read the image of a row to show it: what may pass is a reason too, not an error."""
        try:
            return self.load(row)
        except (OSError, FlowatlasError):  # no answer, or no way to ask: no credentials, no bucket
            return Crop(None, Reason.UNREACHABLE)

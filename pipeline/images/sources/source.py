"""``Entry``, one image of a source, and ``Source``, the interface of every kind of dataset."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.images.sources.leftovers import Leftovers

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Entry:
    """One image before it is read.

    ``uri`` is relative (posix) to the source's root where it lies inside, else absolute. ``offset``
    and ``length`` are bytes: an offset of None means the whole object, whose length is its size
    (None: missing or unknown). ``label`` is a class index of the model or None. ``boxes`` are
    (x0, y0, x1, y1) in pixels of the upright image. Of a source with several labels per image
    ``label`` is None and ``labels`` are all of them, ascending (None: unlabelled); ``box_labels``
    are then the labels of the boxes.
    """

    uri: str
    offset: int | None = None
    length: int | None = None
    label: int | None = None
    split: str | None = None
    boxes: tuple[Box, ...] = ()
    labels: tuple[int, ...] | None = None
    box_labels: tuple[int | None, ...] = ()


class Source(Protocol):
    """A dataset that can be listed; a new kind of dataset implements this interface."""

    @property
    def root(self) -> str:
        """What relative URIs are relative to: an absolute folder or a URL."""
        ...

    @property
    def class_names(self) -> dict[int, str]:
        """Label → name as far as the dataset itself names its classes; may be empty."""
        ...

    @property
    def classes(self) -> dict[str, int | None]:
        """Class name → label, in the dataset's order; empty if the dataset stores indices.

        Names that are known without a scan, and those of ``dataset.labels``.
        """
        ...

    @property
    def multi_label(self) -> bool:
        """Whether the dataset gives a list of labels per image, of any length."""
        ...

    def listing(self) -> str | None:
        """Return a hash of everything that a scan depends on, if much cheaper than the scan.

        Equal hashes guarantee equal scans. None: nothing is cheaper than a scan.
        """
        ...

    def scan(self, leftovers: Leftovers) -> Iterator[Entry]:
        """List every image in an order that depends on nothing but the dataset.

        What is found and not used is added to ``leftovers``, which is complete at the end.

        Raises
        ------
        DatasetError
            The dataset is empty or inconsistent.
        """
        ...

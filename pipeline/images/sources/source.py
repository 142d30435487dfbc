"""``Entry``, one image as a source knows it, and ``Source``, what every kind of dataset offers."""

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
    (x0, y0, x1, y1) in pixels of the upright image.
    """

    uri: str
    offset: int | None = None
    length: int | None = None
    label: int | None = None
    split: str | None = None
    boxes: tuple[Box, ...] = ()


class Source(Protocol):
    """A dataset that can be listed. A new kind of dataset is one more class with these."""

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
        """What the dataset calls its classes, in its own order → label; empty: it gives indices.

        Names that are known without a scan, and those of ``dataset.labels``.
        """
        ...

    def listing(self) -> str | None:
        """Return a hash of all that a scan depends on, where it costs much less than the scan.

        Two equal ones promise equal scans. None: there is no cheaper way than to scan.
        """
        ...

    def scan(self, leftovers: Leftovers) -> Iterator[Entry]:
        """List every image in an order that depends on nothing but the dataset.

        What is there and is not used is added to ``leftovers``, which is complete at the end.

        Raises
        ------
        DatasetError
            Nothing is there, or what is there contradicts itself.
        """
        ...

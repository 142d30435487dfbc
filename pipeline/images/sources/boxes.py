"""Boxes of the images, from a separate table."""

from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import ConfigError, DatasetError
from pipeline.files.root import Root
from pipeline.files.tabular import Table
from pipeline.files.urls import shown
from pipeline.images.sources.labels import Labels, quoted, table_labels
from pipeline.images.sources.leftovers import Leftovers
from pipeline.images.sources.source import Box
from pipeline.nouns import agreeing, counted

_CORNERS = {
    "x0": ("x0", "xmin", "x_min", "left"),
    "y0": ("y0", "ymin", "y_min", "top"),
    "x1": ("x1", "xmax", "x_max", "right"),
    "y1": ("y1", "ymax", "y_max", "bottom"),
}
"""A corner's name → what its column may be called."""
_FRACTIONS = 2.0
"""Corners up to this and not all integers are not pixels; fractions may slightly exceed 1."""
_STRANGE = -2
"""The label of a box whose class is not one of the dataset's."""
_OF_OTHERS = "boxes of another class than their image"
_TRUE = {"1", "1.0", "true", "yes"}


class Boxes:
    """All boxes of a dataset, handed out image by image.

    Boxes marked ``ignore`` are left out. Where both a box and its image have a label, a box of
    another class is left out: it does not show the object that the image is labelled as.
    """

    def __init__(
        self,
        uris: list[str],
        ids: np.ndarray,
        corners: np.ndarray,
        labels: np.ndarray | None,
        ignored: int = 0,
    ) -> None:
        order = np.argsort(ids, kind="stable")
        bounds = np.searchsorted(ids[order], np.arange(len(uris) + 1))
        self._corners = corners[order]
        self._labels = None if labels is None else labels[order]
        self._range = {
            uri: (int(bounds[index]), int(bounds[index + 1])) for index, uri in enumerate(uris)
        }
        self._used: set[str] = set()
        self._ignored = ignored
        self._of_others: dict[str, int] = {}

    def of(self, uri: str, label: int | None) -> tuple[Box, ...]:
        """Return the boxes of an image in order of the table."""
        if (span := self._range.get(uri)) is None:
            return ()
        self._used.add(uri)
        corners = self._corners[slice(*span)]
        if self._labels is not None and label is not None:
            own = self._labels[slice(*span)]
            kept = (own == label) | (own == -1)
            if not kept.all():
                self._of_others[uri] = int((~kept).sum())
            corners = corners[kept]
        return tuple(map(tuple, corners.tolist()))

    def with_labels(self, uri: str) -> tuple[tuple[Box, ...], tuple[int | None, ...]]:
        """Return all boxes of an image, and the label of each (None: of any)."""
        boxes = self.of(uri, None)
        if self._labels is None or not boxes:
            return boxes, (None,) * len(boxes)
        own = self._labels[slice(*self._range[uri])].tolist()
        return boxes, tuple(None if label == -1 else label for label in own)

    def finish(self, leftovers: Leftovers) -> None:
        """Count the boxes that are left out, once all images have been listed.

        Raises
        ------
        ConfigError, DatasetError
            Boxes belong to images outside the dataset, or all of them to no known class.
        """
        if self._labels is not None and len(self._labels) and (self._labels == _STRANGE).all():
            raise ConfigError(
                "no label of dataset.boxes is a class index, one of the dataset's own classes or "
                "named in dataset.labels"
            )
        strangers = self._range.keys() - self._used
        if strangers:
            count = sum(hi - lo for lo, hi in map(self._range.__getitem__, strangers))
            raise DatasetError(
                f"{counted(count, 'box')} {agreeing(count, 'belongs', 'belong')} to "
                f"{counted(len(strangers), 'file')} that the dataset does not have: "
                f"{quoted(strangers)}; the URIs of dataset.boxes must be those of dataset.source"
            )
        if self._ignored:
            leftovers.add("boxes marked ignore", count=self._ignored)
        for uri, count in self._of_others.items():
            leftovers.add(_OF_OTHERS, uri)
            leftovers.add(_OF_OTHERS, count=count - 1)


NO_BOXES = Boxes([], np.empty(0, np.int64), np.empty((0, 4), np.float32), None)


def read_boxes(
    path: str, root: Root, labels: Labels | None, classes: Labels | None = None
) -> Boxes:
    """Read a table with a URI column and x0, y0, x1, y1 in pixels, optionally label and ignore.

    Labels of boxes are looked up in ``labels``; without it in ``classes``, the dataset's own names,
    where they are names.

    Raises
    ------
    DatasetError
        A column is missing, or corners are not numbers or are in the wrong order (with counts).
    """
    table = Table(path)
    missing = [name for name, called in _CORNERS.items() if table.column(*called) is None]
    if missing:
        raise DatasetError(
            f"{path} has no column {', '.join(missing)}, only {', '.join(map(repr, table.names))}; "
            "boxes are two corners x0, y0, x1, y1 in pixels: x1 is x0 + width, y1 is y0 + height"
        )
    uri, label, ignore = table.uri_column(), table.column("label"), table.column("ignore")
    corners = [column for called in _CORNERS.values() if (column := table.column(*called))]
    optional = [column for column in (label, ignore) if column]
    batches = list(table.batches([uri, *corners, *optional]))
    if not batches:
        raise DatasetError(f"the table {path} has no rows; remove dataset.boxes")
    content = pa.Table.from_batches(batches)
    names, ids = _placed(table.texts(content.column(uri), uri), root, path)
    values = np.stack([_numbers(content.column(name), path) for name in corners], axis=1)
    _check(values, path)
    kept = np.ones(len(values), bool)
    if ignore:
        flags = content.column(ignore).to_pylist()
        kept = np.array([str(flag).lower() not in _TRUE for flag in flags], bool)
    codes = _codes(content.column(label), labels, classes or {})[kept] if label else None
    return Boxes(names, ids[kept], values[kept].astype(np.float32), codes, int((~kept).sum()))


def _placed(column: pa.ChunkedArray, root: Root, path: str) -> tuple[list[str], np.ndarray]:
    """Return the distinct URIs as the index spells them, and which of them each row has."""
    encoded = column.combine_chunks().dictionary_encode()
    if encoded.null_count:
        raise DatasetError(f"{path}: {counted(encoded.null_count, 'box')} without a URI")
    ids: dict[str, int] = {}
    codes = []
    for uri in encoded.dictionary.to_pylist():
        try:
            codes.append(ids.setdefault(root.place(uri), len(ids)))
        except DatasetError as error:
            raise DatasetError(f"{path}: {shown(uri)[:200]!r} is refused: {error}") from error
    return list(ids), np.array(codes, np.int64)[encoded.indices.to_numpy()]


def _numbers(column: pa.ChunkedArray, path: str) -> np.ndarray:
    try:
        return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    except pa.ArrowInvalid as error:
        raise DatasetError(f"{path}: corners must be numbers: {error}") from error


def _check(corners: np.ndarray, path: str) -> None:
    unusable = int((~(np.abs(corners) < 1e9)).any(axis=1).sum())
    if unusable:
        raise DatasetError(
            f"{path}: {counted(unusable, 'box')} with corners that are missing or not finite"
        )
    reversed_ = int((corners[:, 2:] < corners[:, :2]).any(axis=1).sum())
    if reversed_:
        raise DatasetError(
            f"{path}: {counted(reversed_, 'box')} with x1 < x0 or y1 < y0; "
            "give two corners in pixels, not width and height"
        )

    if len(corners) and corners.min() >= 0 and corners.max() <= _FRACTIONS and (corners % 1).any():
        raise DatasetError(
            f"{path}: all corners are at most {corners.max():.3g}, so these look like fractions; "
            "multiply x by the width and y by the height of each image: boxes must be in pixels"
        )


def _codes(column: pa.ChunkedArray, labels: Labels | None, classes: Labels) -> np.ndarray:
    """Return the label of each box: −1 if it has none, ``_STRANGE`` if no image can have it."""
    values = column.to_pylist()
    known: dict[Any, int] = {}
    for value in set(values):
        try:
            own = classes if labels is None and value in classes else labels
            label = table_labels([value], own)[value]
            known[value] = -1 if label is None else label
        except ConfigError:
            known[value] = _STRANGE
    return np.array([known[value] for value in values], np.int64)

"""Every path, array and schema of a run, in one place.

::

    run.json                   what the run is (RunSpec), written once
    zarr.json                  makes the run a Zarr group: flows.zarr and the atlases are in it
    index/00000000.parquet     row, uri, offset, length, label, split; 65,536 rows a part; where
                               images have several labels also image and labels
    boxes/00000000.parquet     row, x0, y0, x1, y1 in pixels of the upright image; of the same rows
    index.json                 what was scanned, written when all parts are there
    flows.zarr/                maps (image, layer, y, x), scale (image, layer), status (image,);
                               where asked for maps_label, scale_label, features (image, channel),
                               heads (image, head_layer, head, statistic), channel_peaks
                               (image, layer, channel), channel_counts (unit, layer, channel, bin);
                               where images have several labels logits (image, output)
    summary/00000012.parquet   one line per row of unit 12, flat columns
    receipts/00000012.json     last object of unit 12: sizes and hashes of the others
    manifest.json, _SUCCESS    written when every unit has a receipt
    atlas/  audit/  report/    what is made of it
    logs/                      tracebacks of attempts that failed; no part of the data
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from typing import Any

import pyarrow as pa

from pipeline.config import content_hash
from pipeline.images import Leftover
from pipeline.measures.activations import BINS
from pipeline.measures.heads import HEAD_STATISTICS
from pipeline.nouns import counted

FORMAT = 1

RUN = "run.json"
LOCK = "lock.json"
LOGS = "logs"
MANIFEST = "manifest.json"
SUCCESS = "_SUCCESS"
INDEX = "index"
BOXES = "boxes"
SCAN = "index.json"
FLOWS = "flows.zarr"
MAPS, SCALE, STATUS = "maps", "scale", "status"
MAPS_LABEL, SCALE_LABEL, FEATURES = "maps_label", "scale_label", "features"
LOGITS, HEADS = "logits", "heads"
CHANNEL_PEAKS, CHANNEL_COUNTS = "channel_peaks", "channel_counts"
DIMENSIONS = {
    MAPS: ("image", "layer", "y", "x"),
    SCALE: ("image", "layer"),
    STATUS: ("image",),
    MAPS_LABEL: ("image", "layer", "y", "x"),
    SCALE_LABEL: ("image", "layer"),
    FEATURES: ("image", "channel"),
    LOGITS: ("image", "output"),
    HEADS: ("image", "head_layer", "head", "statistic"),
    CHANNEL_PEAKS: ("image", "layer", "channel"),
    CHANNEL_COUNTS: ("unit", "layer", "channel", "bin"),
}


class Status(IntEnum):
    """State of a row."""

    MISSING = 0
    OK = 1
    QUARANTINED = 2


@dataclass(frozen=True)
class Unit:
    """Contiguous rows ``[lo, hi)``: one Zarr shard, one Parquet part, one receipt."""

    id: int
    lo: int
    hi: int

    def __len__(self) -> int:
        return self.hi - self.lo


def units_of(rows: int, unit_rows: int) -> tuple[Unit, ...]:
    """Cut ``rows`` rows into units of ``unit_rows`` (the last one may be shorter)."""
    return tuple(
        Unit(number, lo, min(lo + unit_rows, rows))
        for number, lo in enumerate(range(0, rows, unit_rows))
    )


def index_path(part: int) -> str:
    """Return the path of a part of the index."""
    return f"{INDEX}/{part:08d}.parquet"


def box_path(part: int) -> str:
    """Return the path of the boxes of a part of the index."""
    return f"{BOXES}/{part:08d}.parquet"


def summary_path(unit: int) -> str:
    """Return the path of a unit's Parquet part."""
    return f"summary/{unit:08d}.parquet"


def receipt_path(unit: int) -> str:
    """Return the path of a unit's receipt."""
    return f"receipts/{unit:08d}.json"


@dataclass(frozen=True)
class Column:
    """A per-image statistic and the kind that fixes its histogram (see ``measures.columns``)."""

    name: str
    kind: str


@dataclass(frozen=True)
class RunSpec:
    """Content of ``run.json``: everything that determines the data of a run.

    ``config`` is the identity of the configuration (``RunConfig.identity``), ``root`` what the
    index's URIs are relative to, ``input`` the model's evaluation transform, ``classes`` the names
    of the model's outputs (index = class), ``dtype`` the type of the stored maps. ``label_maps``
    says that every image has a second flow, for its label; ``channels`` is the width of the stored
    embeddings (0: none); ``references`` the hash of the run whose embeddings images are compared
    with. ``leftovers`` is what the scan of the dataset did not use; it determines nothing.
    ``labels`` are the dataset's classes that were matched by name, name → output; None where
    labels are those of ``dataset.labels``, or of the dataset's own order. ``images`` is the number
    of images where they have several labels, and a row is an image and one output; None where a
    row is an image. ``padded``: the batches of the last unit are filled up to those of any other,
    as in all runs but those that an earlier version began, so that rounding in them does not depend
    on how many images are left. ``heads`` is the number of attention heads whose statistics are
    stored of every layer in ``head_layers`` (0: none), ``layer_channels`` the most channels of a
    layer whose activations are counted (0: none are).
    """

    config: dict[str, Any]
    config_hash: str
    code_version: str
    weights_sha256: str
    fingerprint: str
    root: str
    rows: int
    unit_rows: int
    layers: tuple[str, ...]
    grid: tuple[int, int]
    input: dict[str, Any]
    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    dtype: str = "float16"
    label_maps: bool = False
    channels: int = 0
    references: str | None = None
    leftovers: tuple[Leftover, ...] = ()
    labels: Mapping[str, int] | None = None
    images: int | None = None
    padded: bool = False
    head_layers: tuple[str, ...] = ()
    heads: int = 0
    layer_channels: int = 0
    format: int = FORMAT

    @property
    def hash(self) -> str:
        """The hash that ties receipts to this run: all that determines its data."""
        return content_hash({**replace(self, leftovers=()).to_json(), "code_version": None})

    @property
    def multi_label(self) -> bool:
        """Whether images have several labels, and a row is an image and one output."""
        return self.images is not None

    @property
    def counted(self) -> str:
        """The number of images, and of rows where these differ, in words."""
        if self.images is None:
            return counted(self.rows, "image")
        return f"{counted(self.images, 'image')} in {counted(self.rows, 'row')}"

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units of the run, in order of rows."""
        return units_of(self.rows, self.unit_rows)

    @property
    def arrays(self) -> dict[str, tuple[int, ...]]:
        """The run's Zarr arrays: name → shape of one image."""
        layers, maps = (len(self.layers),), (len(self.layers), *self.grid)
        shapes: dict[str, tuple[int, ...]] = {MAPS: maps, SCALE: layers, STATUS: ()}
        if self.label_maps:
            shapes |= {MAPS_LABEL: maps, SCALE_LABEL: layers}
        if self.channels:
            shapes[FEATURES] = (self.channels,)
        if self.multi_label:
            shapes[LOGITS] = (len(self.classes),)
        if self.heads:
            shapes[HEADS] = (len(self.head_layers), self.heads, len(HEAD_STATISTICS))
        if self.layer_channels:
            shapes[CHANNEL_PEAKS] = (*layers, self.layer_channels)
        return shapes

    @property
    def unit_arrays(self) -> dict[str, tuple[int, ...]]:
        """The run's Zarr arrays with an entry per unit: name → shape of one unit."""
        counts = (len(self.layers), self.layer_channels, BINS)
        return {CHANNEL_COUNTS: counts} if self.layer_channels else {}

    @property
    def metadata_paths(self) -> tuple[str, ...]:
        """The paths of the metadata of the run's Zarr groups and arrays."""
        folders = ("", f"{FLOWS}/", *(f"{FLOWS}/{name}/" for name in self._names))
        return tuple(f"{folder}zarr.json" for folder in folders)

    def shard_paths(self, unit: int) -> dict[str, str]:
        """Return the path of a unit's shard in every array of the run."""
        return {
            name: f"{FLOWS}/{name}/c/" + "/".join([str(unit)] + ["0"] * len(shape))
            for name, shape in {**self.arrays, **self.unit_arrays}.items()
        }

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self.arrays, *self.unit_arrays)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; without what was added later where there is none."""
        content = asdict(self)
        for name in ("leftovers", "padded", "head_layers", "heads", "layer_channels"):
            if not content[name]:
                del content[name]
        for name in ("labels", "images"):
            if content[name] is None:
                del content[name]
        return content

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "RunSpec":
        """Inverse of :meth:`to_json`."""
        return cls(
            **{
                **content,
                "layers": tuple(content["layers"]),
                "head_layers": tuple(content.get("head_layers", ())),
                "grid": tuple(content["grid"]),
                "classes": tuple(content["classes"]),
                "columns": tuple(Column(**column) for column in content["columns"]),
                "leftovers": tuple(map(Leftover.from_json, content.get("leftovers", ()))),
            }
        )


_SUMMARY_HEAD = [
    pa.field("row", pa.int64(), nullable=False),
    pa.field("status", pa.uint8(), nullable=False),
    pa.field("reason", pa.string()),
    pa.field("label", pa.int32()),
    pa.field("pred", pa.int32()),
    pa.field("target", pa.int32()),
    pa.field("confidence", pa.float32()),
    pa.field("margin", pa.float32()),
    pa.field("correct", pa.bool_()),
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
    pa.field("phash", pa.int64()),
]


def summary_schema(columns: tuple[Column, ...], multi_label: bool = False) -> pa.Schema:
    """Return the schema of a Parquet part: the image, the prediction, then the measures (f4).

    Where images have several labels (``multi_label``), ``image`` is the image of a row. ``target``
    is then the output that the row explains, ``label`` is the same where the image has this label,
    ``pred`` where the model predicts it, ``confidence`` is its sigmoid, and ``correct`` whether
    both or only one of them is there.
    """
    image = [pa.field("image", pa.int64(), nullable=False)] if multi_label else []
    measures = [pa.field(column.name, pa.float32()) for column in columns]
    return pa.schema(_SUMMARY_HEAD + image + measures)

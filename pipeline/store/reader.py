"""``Run``: the objects of a run, as later steps read them."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from obstore.store import ObjectStore

from pipeline.config import RunConfig, load_config
from pipeline.errors import RunIncomplete
from pipeline.files.object_store import arrow_files
from pipeline.files.urls import absolute
from pipeline.nouns import counted
from pipeline.store.commit import load_spec
from pipeline.store.index import box_rows, index_parts, index_rows, index_take
from pipeline.store.layout import (
    CHANNEL_COUNTS,
    CHANNEL_PEAKS,
    FEATURES,
    FLOWS,
    HEADS,
    LOGITS,
    MAPS,
    MAPS_LABEL,
    SCALE,
    SCALE_LABEL,
    STATUS,
    SUCCESS,
    RunSpec,
    Unit,
)
from pipeline.store.layout import summary_path as _summary_path
from pipeline.store.objects import (
    delete,
    exists,
    open_store,
    read,
    sizes,
    write,
)

if TYPE_CHECKING:
    import pyarrow.dataset

SUMMARY = "summary"
FINDINGS = "audit/findings.parquet"


class Run:
    """A run on disk or in an object store.

    Attributes
    ----------
    uri : str
        As it was given; in messages.
    place : str
        The same, wherever this or another process works: an absolute path or a URL.
    store : ObjectStore
        Where the run's objects are; paths are relative to the run.
    spec : RunSpec
        Content of run.json.
    """

    def __init__(self, uri: str, store: ObjectStore) -> None:
        self.uri = uri
        self.place = absolute(uri)
        self.store = store
        self.spec: RunSpec = load_spec(store)

    def __repr__(self) -> str:
        return f"Run({self.uri!r}, {self.spec.counted}, {counted(len(self.spec.layers), 'layer')})"

    @property
    def config(self) -> RunConfig:
        """The configuration that determines the data, as it was resolved."""
        content = dict(self.spec.config)
        limits = {"max_pixels": content.pop("max_pixels")}
        return RunConfig.model_validate({**content, "run": self.uri, "limits": limits})

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units, in order of rows."""
        return self.spec.units

    @property
    def finished(self) -> bool:
        """Whether every unit is there and the run was finalised."""
        return exists(self.store, SUCCESS)

    def require_finished(self) -> None:
        """Raise RunIncomplete unless the run is finished."""
        if not self.finished:
            raise RunIncomplete(f"{self.uri} is not finished; run flowatlas flows CONFIG again")

    @cached_property
    def _group(self) -> Any:
        import zarr  # here, as what is known of a run is in other objects
        from zarr.storage import ObjectStore as ZarrStore

        return zarr.open_group(ZarrStore(self.store, read_only=True), path=FLOWS, mode="r")

    @property
    def maps(self) -> Any:
        """Zarr array (image, layer, y, x); ``maps * scale`` is the raw map."""
        return self._group[MAPS]

    @property
    def scale(self) -> Any:
        """Zarr array (image, layer), float32."""
        return self._group[SCALE]

    @property
    def status(self) -> Any:
        """Zarr array (image,): 0 missing, 1 ok, 2 quarantined."""
        return self._group[STATUS]

    @property
    def features(self) -> Any:
        """Zarr array (image, channel), float32: the model's embedding of every image.

        Raises ``RunIncomplete`` where the run stores none.
        """
        if not self.spec.channels:
            raise RunIncomplete(f"{self.uri} stores no features; compute it with flow.features")
        return self._group[FEATURES]

    @property
    def logits(self) -> Any:
        """Zarr array (image, output), float32: of every row, where images have several labels.

        Raises ``RunIncomplete`` where the run stores none.
        """
        if not self.spec.multi_label:
            raise RunIncomplete(f"{self.uri} stores no logits; only runs of several labels do")
        return self._group[LOGITS]

    @property
    def heads(self) -> Any:
        """Zarr array (image, head_layer, head, statistic), float16, NaN where there is none.

        Its attributes name layers and statistics (:mod:`pipeline.measures.heads`). Raises
        ``RunIncomplete`` where the run stores none.
        """
        if not self.spec.heads:
            raise RunIncomplete(f"{self.uri} stores no heads; compute it with flow.heads: true")
        return self._group[HEADS]

    @property
    def channel_peaks(self) -> Any:
        """Zarr array (image, layer, channel), float16: the largest activation of every channel.

        Raises ``RunIncomplete`` where the run stores none.
        """
        return self._of_channels(CHANNEL_PEAKS)

    @property
    def channel_counts(self) -> Any:
        """Zarr array (unit, layer, channel, bin): activations of a unit's usable images.

        Bins are those of :mod:`pipeline.measures.activations`. Raises ``RunIncomplete`` where the
        run stores none.
        """
        return self._of_channels(CHANNEL_COUNTS)

    def _of_channels(self, name: str) -> Any:
        if not self.spec.layer_channels:
            raise RunIncomplete(
                f"{self.uri} counts no activations; compute it with flow.method: activation and "
                "flow.channels: true"
            )
        return self._group[name]

    def read_maps(
        self, lo: int, hi: int, target: Literal["predicted", "label"] = "predicted"
    ) -> NDArray[np.float32]:
        """Return the raw maps of rows ``[lo, hi)``, shape (n, L, h, w).

        ``predicted`` are the run's maps, whatever its ``flow.target``; ``label`` are the second
        maps of a run with ``flow.target: both`` (``RunIncomplete`` for any other run).
        """
        stored, scale = self.flow_arrays(target)
        maps = np.asarray(stored[lo:hi]).astype(np.float32)
        maps *= np.asarray(scale[lo:hi])[:, :, None, None]
        return maps

    def flow_arrays(self, target: Literal["predicted", "label"] = "predicted") -> tuple[Any, Any]:
        """Return the Zarr arrays of maps and scale of a target (see :meth:`read_maps`)."""
        if target == "predicted":
            return self.maps, self.scale
        if not self.spec.label_maps:
            raise RunIncomplete(
                f"{self.uri} has no maps of the label; compute it with flow.target: both"
            )
        return self._group[MAPS_LABEL], self._group[SCALE_LABEL]

    def index(self) -> pa.Table:
        """Return the whole index: row, uri, offset, length, label, split (image, labels)."""
        return pa.concat_tables(index_parts(self.store))

    def boxes(self) -> pa.Table:
        """Return all boxes: row, x0, y0, x1, y1 in pixels of the upright image."""
        return box_rows(self.store, 0, self.spec.rows)

    def index_rows(self, lo: int, hi: int) -> pa.Table:
        """Return the index of rows ``[lo, hi)``, reading only the row groups that hold them."""
        return index_rows(self.store, lo, hi)

    def index_take(self, rows: Iterable[int]) -> pa.Table:
        """Return the index of some rows, in ascending order."""
        return index_take(self.store, rows)

    def box_rows(self, lo: int, hi: int) -> pa.Table:
        """Return the boxes of rows ``[lo, hi)``."""
        return box_rows(self.store, lo, hi)

    def summary(self) -> "pyarrow.dataset.Dataset":
        """Return the summary of all images as a dataset, one fragment per unit."""
        import pyarrow.dataset  # here, as it imports pandas

        files, place = arrow_files(self.place)
        return pyarrow.dataset.dataset(f"{place}/{SUMMARY}", filesystem=files, format="parquet")

    def summary_part(self, unit: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the Parquet part of one unit; only some columns are much less to decode."""
        return self.table(_summary_path(unit), columns)

    def table(self, path: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read one Parquet object of the run, or some of its columns, in their order there.

        In this thread: one of Arrow's would give the bytes back to Python a little later, and a
        program that ends by then is killed by it.
        """
        with pq.ParquetFile(pa.BufferReader(self.read(path))) as file:
            return file.read(columns and list(columns), use_threads=False)

    def read(self, path: str) -> bytes:
        """Return the bytes of an object of the run; FileNotFoundError if there is none."""
        return read(self.store, path)

    def write(self, path: str, content: bytes) -> None:
        """Write an object of the run, whole."""
        write(self.store, path, content)

    def list(self, prefix: str) -> tuple[str, ...]:
        """Return the paths of all objects under a prefix, sorted."""
        return tuple(sorted(sizes(self.store, prefix)))

    def delete(self, path: str) -> None:
        """Delete an object of the run; deleting what does not exist is no error."""
        delete(self.store, path)

    def exists(self, path: str) -> bool:
        """Return whether the run has the object."""
        return exists(self.store, path)

    def findings(self) -> pa.Table:
        """Return the audit's findings, the most severe first (after flowatlas audit)."""
        if not self.exists(FINDINGS):
            raise RunIncomplete(f"{self.uri} has no audit yet: flowatlas audit {self.uri}")
        return self.table(FINDINGS)


def open_run(uri: str) -> Run:
    """Open a run for reading: its folder or URL, or the YAML configuration that names it.

    Raises
    ------
    FlowatlasError
        There is no run, and what to do, or the configuration cannot be read.
    """
    place = load_config(uri).run if uri.lower().endswith((".yaml", ".yml")) else uri
    return Run(place, open_store(place))

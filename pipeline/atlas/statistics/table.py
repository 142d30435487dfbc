"""``Table``: a table of class statistics that is being written."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from pipeline.atlas.statistics.axes import Axes
from pipeline.atlas.statistics.sums import Integer

WHOLE: Any = {"write_empty_chunks": True}
"""To look for chunks of zeros takes longer than to write them. What Zarr opens has forgotten it."""


@dataclass(frozen=True)
class Table:
    """The Zarr group of a table, and the cells ``parts`` (K, m) that make its K classes.

    ``axes`` are finished before the others: the second pass over the images needs them.
    ``weighted`` says whether images have weights.
    """

    name: str
    group: Any
    parts: Integer
    axes: Axes
    weighted: bool = False

    def write(self, name: str, values: NDArray[Any], axes: tuple[str, ...]) -> None:
        """Write an array with named axes, in one chunk."""
        self.create(name, values.shape, values.dtype, axes)[...] = values

    def create(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: Any,
        axes: tuple[str, ...],
        *,
        together: int | None = None,
        attributes: dict[str, Any] | None = None,
    ) -> Any:
        """Create an array with named axes; a chunk is ``together`` of its first axis, or all."""
        chunks = (min(together or shape[0], shape[0]), *shape[1:])
        return self.group.create_array(
            name,
            shape=shape,
            chunks=tuple(max(1, side) for side in chunks),
            dtype=dtype,
            compressors=ZstdCodec(level=1),
            dimension_names=axes,
            attributes=attributes,
            config=WHOLE,
        )

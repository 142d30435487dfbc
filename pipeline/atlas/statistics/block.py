"""What statistics read of some images: their flows, or their rows of the summary."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.atlas.statistics.membership import CONFIDENT, CONFIDENT_MASS, Members
from pipeline.atlas.statistics.pooled import pooled_grid


@dataclass
class FlowBlock:
    """Images with their stored maps; (n, L, h, w) times ``scale`` (n, L) are the raw maps.

    ``pooled`` (n, y, x) is zero until the maps are added: their statistic, which comes first,
    accumulates them and pools the result on the way. ``heads`` (n, L, H, S) are the statistics of
    attention heads, of a run that stores them.
    """

    members: Members
    maps: NDArray[Any]
    scale: NDArray[np.float32]
    heads: NDArray[np.float16] | None = None
    pooled: NDArray[np.uint16] = field(init=False)

    def __post_init__(self) -> None:
        self.pooled = np.zeros((len(self.maps), *pooled_grid(self.maps.shape[2:])), np.uint16)


@dataclass(frozen=True)
class SummaryBlock:
    """Images with their rows of the summary."""

    members: Members
    part: pa.Table

    def values(self, name: str) -> NDArray[np.float32]:
        """Return a column, or one made from it, as float32 with NaN for null."""
        if name == CONFIDENT_MASS:
            sure = self.values("confidence") >= np.float32(CONFIDENT)
            return np.where(sure, self.values("mass_flow"), np.float32(np.nan))
        return np.asarray(self.part[name].to_numpy(), dtype=np.float32)

"""One unit of pairs: read both images, share their similarity out to patches, store."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import torch

from pipeline.audit.pairs.plan import Plan
from pipeline.audit.pairs.schema import PAIRS_SCHEMA, explained_row, unexplained_row
from pipeline.engine import Attempt
from pipeline.engine.context import Context, load_configured, open_context
from pipeline.flows.pair_attribution import EncodedImage, PairAttribution
from pipeline.images import Crop, Reason
from pipeline.store import Unit
from pipeline.store.crops import CropReader
from pipeline.store.parquet import parquet_bytes

_KEPT = 64
"""Encoded images that a worker keeps: a query meets its gallery in pairs that follow each other."""

Reading = tuple[Unit, Mapping[int, Crop], Mapping[int, str]]
"""A unit, its images by row, and their URIs."""


class PairWorker:
    """Turns units of a plan into stored tables; see :class:`pipeline.engine.Worker`."""

    def __init__(self, plan: Plan, context: Context, pairs: PairAttribution) -> None:
        self._plan, self._context, self._pairs = plan, context, pairs
        self._encoded: OrderedDict[int, EncodedImage] = OrderedDict()

    def read(self, attempt: Attempt) -> Reading:
        """Read the images of a unit."""
        run = self._context.run
        rows = sorted({row for pair in self._plan.pairs_of(attempt.unit) for row in pair})
        reader = CropReader(run, rows, self._context.images)
        uris = run.index_take(rows)["uri"].to_pylist()
        crops = {row: reader.load(row) for row in rows}
        return attempt.unit, crops, dict(zip(rows, uris, strict=True))

    def compute(self, reading: Reading) -> tuple[Unit, pa.Table]:
        """Explain the pairs of a unit, one by one: no pair depends on its neighbours."""
        unit, crops, uris = reading
        rows = [
            self._explained(number, pair, crops, uris)
            for number, pair in enumerate(self._plan.pairs_of(unit), start=unit.lo)
        ]
        return unit, pa.Table.from_pylist(rows, schema=PAIRS_SCHEMA)

    def _explained(
        self,
        number: int,
        pair: tuple[int, int],
        crops: Mapping[int, Crop],
        uris: Mapping[int, str],
    ) -> dict[str, Any]:
        query, gallery = pair
        place = {
            "pair": number,
            "query": query,
            "gallery": gallery,
            "query_uri": uris[query],
            "gallery_uri": uris[gallery],
        }
        for row in pair:
            if (reason := crops[row].reason) is not None:
                return unexplained_row(place, reason)
        found = self._pairs.explain(*(self._encode(row, crops[row]) for row in pair))
        if not (torch.isfinite(found.matrix).all() and found.error == found.error):
            return unexplained_row(place, Reason.NON_FINITE)
        return explained_row(place, found, self._plan.strongest, self._plan.tolerance)

    def _encode(self, row: int, crop: Crop) -> EncodedImage:
        if row not in self._encoded:
            pixels = torch.from_numpy(crop.pixels)[None].to(self._context.device)
            image = self._context.transform.normalise(pixels)[0]
            self._encoded[row] = self._pairs.encode(image)
            if len(self._encoded) > _KEPT:
                self._encoded.popitem(last=False)
        self._encoded.move_to_end(row)
        return self._encoded[row]

    def commit(self, computed: tuple[Unit, pa.Table]) -> Unit:
        """Store the table: a unit is done if it is there."""
        unit, table = computed
        run = self._context.run
        run.write(self._plan.unit_path(run, unit), parquet_bytes(table))
        return unit


@contextmanager
def open_pairs(uri: str, threads: int, *, plan: Plan) -> Iterator[PairWorker]:
    """Open a worker of a plan on the run at ``uri``."""
    with open_context(uri, threads=threads) as context, attribution(context, plan) as pairs:
        yield PairWorker(plan, context, pairs)


def attribution(context: Context, plan: Plan) -> PairAttribution:
    """Return the method of a plan on a run's model, apart from that of the run's own method."""
    config = context.run.config
    loaded = load_configured(config.model)
    return PairAttribution(
        loaded.model.to(context.device),
        layer=plan.layer or None,
        embedding=config.flow.embedding,
        similarity=plan.similarity,
        tolerance=plan.tolerance,
        most_steps=plan.most_steps,
    )

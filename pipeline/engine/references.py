"""The images of another run that a method compares with: their embeddings and labels."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from pipeline.config import FlowConfig, ReferencesConfig
from pipeline.errors import ConfigError
from pipeline.files.root import location
from pipeline.files.tabular import Table
from pipeline.flows.registry import METHODS
from pipeline.store import Run, Status

Place = tuple[str, int | None]
"""Where an image's bytes are: URI (relative as in the index, or absolute) and offset."""


@dataclass(frozen=True)
class References:
    """M labelled images of a run: ``features`` (M, C) float32, ``labels`` (M,) int64.

    ``places`` maps the location of each to its index, so that an image is never compared with
    itself; ``root`` makes the query's URIs absolute. ``pairs`` maps an image's URI to its
    references, if a table lists them.
    """

    features: Tensor
    labels: Tensor
    places: Mapping[Place, int]
    root: str
    pairs: Mapping[str, Sequence[int]] | None = None

    def own(self, images: Sequence[Place]) -> Tensor:
        """Return the index of each image among the references, -1 if it is not one (B,)."""
        found = [self.places.get((location(self.root, uri), at), -1) for uri, at in images]
        return torch.tensor(found, dtype=torch.int64)

    def listed(self, uris: Sequence[str]) -> Tensor:
        """Return the indices of each image's references in the table, (B, R) padded with -1."""
        pairs = self.pairs or {}
        rows = [pairs.get(uri, ()) for uri in uris]
        most = max(1, *map(len, rows))
        return torch.tensor([[*row, *[-1] * (most - len(row))] for row in rows], dtype=torch.int64)


def load_references(run: Run, config: ReferencesConfig, root: str) -> References:
    """Read the usable, labelled images of a finished run with features.

    Raises
    ------
    ConfigError
        There is none, or the table names other images.
    """
    rows = run.summary().to_table(["row", "status", "label"]).sort_by("row")
    labels = rows["label"].fill_null(-1).to_numpy()
    kept = np.flatnonzero((rows["status"].to_numpy() == Status.OK) & (labels >= 0))
    if not len(kept):
        raise ConfigError(f"flow.references.run: {run.uri} has no usable image with a label")
    index = run.index().take(pa.array(kept)).select(["uri", "offset"]).to_pydict()
    places = zip(index["uri"], index["offset"], strict=True)
    return References(
        features=torch.from_numpy(np.asarray(run.features[:])[kept]),
        labels=torch.from_numpy(labels[kept].astype(np.int64)),
        places={(location(run.spec.root, uri), at): n for n, (uri, at) in enumerate(places)},
        root=root,
        pairs=_pairs(config.table, index["uri"]) if config.table else None,
    )


def _pairs(table: str, uris: Sequence[str]) -> dict[str, list[int]]:
    """Read the table of pairs: URI of an image → indices of its references."""
    known = {uri: number for number, uri in enumerate(uris)}
    content = Table(table)
    columns = content.column("uri"), content.column("reference")
    if None in columns:
        raise ConfigError(f"flow.references.table: {table} needs the columns uri and reference")
    pairs: dict[str, list[int]] = {}
    for batch in content.batches([name for name in columns if name is not None]):
        for uri, reference in zip(*(batch[name].to_pylist() for name in columns), strict=True):
            if reference not in known:
                raise ConfigError(
                    f"flow.references.table: {reference!r} is not a usable, labelled image of "
                    "the reference run; write its URI as in that run's index"
                )
            pairs.setdefault(uri, []).append(known[reference])
    return pairs


def method_options(
    flow: FlowConfig, references: References | None, device: torch.device
) -> dict[str, Any]:
    """Return the options for ``create_flow``, the references among them.

    Raises
    ------
    ConfigError
        The method does not use references, or not in this way, or an option is given twice.
    """
    options = dict(flow.options)
    wants = inspect.signature(METHODS[flow.method]).parameters if flow.method in METHODS else {}
    given: dict[str, Any] = {"embedding": flow.embedding} if "embedding" in wants else {}
    asked = flow.references
    if asked is not None and references is not None:
        features, labels = references.features.to(device), references.labels.to(device)
        if "references" in wants:
            given |= {"references": features, "reference_labels": labels}
            given |= {"by": asked.by, "k": asked.k}
        elif "bank" in wants:
            if asked.by != "neighbours":
                raise ConfigError(
                    f"{flow.method} uses the nearest images; set flow.references.by: neighbours"
                )
            given |= {"bank": features, "bank_labels": labels, "k": asked.k}
        else:
            raise ConfigError(
                f"{flow.method} does not use references; remove flow.references, "
                "or use flow.method: fam, sfam or daam"
            )
    if twice := sorted(options.keys() & given.keys()):
        raise ConfigError(
            f"flow.options: {twice[0]} is set by flow.references and flow.embedding; remove it"
        )
    return options | given

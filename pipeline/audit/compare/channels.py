"""Distances of two runs of one architecture by the distributions of single channels.

A dataset, or a model, has a fingerprint: of every channel of every layer the distribution of its
activations over all places of all images. Two fingerprints are compared channel by channel by the
earth mover's distance (Ramtoula et al., "Visual DNA: Representing and Comparing Images using
Distributions of Neuron Activations", CVPR 2023, arXiv 2304.10036).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.atlas import read_channels
from pipeline.audit.text.numbers import figure
from pipeline.errors import ConfigError
from pipeline.measures.activations import places
from pipeline.nouns import counted
from pipeline.store import Run, Status

CHANNELS_SCHEMA = pa.schema(
    [
        pa.field("layer", pa.int32(), nullable=False),
        pa.field("layer_name", pa.string(), nullable=False),
        pa.field("channel", pa.int32(), nullable=False),
        pa.field("emd", pa.float64(), nullable=False),
        pa.field("relative", pa.float64(), nullable=False),
        pa.field("chance", pa.float64(), nullable=False),
        pa.field("mean", pa.float64(), nullable=False),
        pa.field("other_mean", pa.float64(), nullable=False),
    ]
)
"""``emd`` is in units of the activation; ``relative`` is it ÷ the standard deviation of the channel
(root mean square of both runs'); ``chance`` is what ``relative`` would be for two samples of so
many independent images of one distribution, at most: if all places of an image were equal. ``mean``
and ``other_mean`` are mean activations."""

Float = NDArray[np.float64]
Counts = NDArray[np.int64]


def earth_movers(one: Counts, other: Counts) -> Float:
    """Return the earth mover's distances of histograms (…, bins), (…,); NaN where one is empty.

    Every bin is where :func:`pipeline.measures.activations.places` puts it, so the distance is off
    by at most half of the mean width of the bins that hold the values of the one, plus that of the
    other; values beyond the last edges count as these.
    """
    gap = np.abs(_below(one) - _below(other))[..., :-1]
    return np.asarray((gap * np.diff(places())).sum(axis=-1))


def has_channels(one: Run, other: Run) -> bool:
    """Return whether both runs count activations, of the same layers and as many channels."""
    size = one.spec.layer_channels
    return bool(size and size == other.spec.layer_channels and one.spec.layers == other.spec.layers)


def channel_differences(
    one: Run, other: Run, layers: Sequence[str] = (), channels: Sequence[int] = ()
) -> pa.Table:
    """Return ``CHANNELS_SCHEMA``, the channel that differs most first.

    Parameters
    ----------
    layers, channels
        Names of layers and numbers of channels to compare; all if there are none.

    Raises
    ------
    ConfigError
        There is no such layer or channel.
    RunIncomplete
        A run was not aggregated.
    """
    names = one.spec.layers
    if unknown := [name for name in layers if name not in names]:
        raise ConfigError(f"there is no layer {unknown[0]!r}; layers are {', '.join(names)}")
    if unknown_channels := [n for n in channels if not 0 <= n < one.spec.layer_channels]:
        raise ConfigError(
            f"there is no channel {unknown_channels[0]}; the layers have up to "
            f"{one.spec.layer_channels}"
        )
    counts, other_counts = read_channels(one), read_channels(other)
    moments = [_moments(own) for own in (counts, other_counts)]
    deviation = np.sqrt((moments[0][1] + moments[1][1]) / 2)
    emd = earth_movers(counts, other_counts)
    scale = np.where(deviation > 0, deviation, np.inf)
    chance = _by_chance(counts, other_counts, _images(one), _images(other)) / scale
    relative = emd / scale
    rows: list[dict[str, Any]] = [
        {
            "layer": layer,
            "layer_name": names[layer],
            "channel": channel,
            "emd": float(emd[layer, channel]),
            "relative": float(relative[layer, channel]),
            "chance": float(chance[layer, channel]),
            "mean": float(moments[0][0][layer, channel]),
            "other_mean": float(moments[1][0][layer, channel]),
        }
        for layer, channel in np.argwhere(~np.isnan(emd)).tolist()
        if (not layers or names[layer] in layers) and (not channels or channel in channels)
    ]
    rows.sort(key=lambda row: (-row["relative"], row["layer"], row["channel"]))
    return pa.Table.from_pylist(rows, CHANNELS_SCHEMA)


def layer_distances(table: pa.Table) -> list[tuple[str, float, int, int]]:
    """Return of every layer, in order: name, mean of ``relative``, channels beyond chance, all."""
    found: dict[int, list[dict[str, Any]]] = {}
    names = {}
    for row in table.to_pylist():
        found.setdefault(row["layer"], []).append(row)
        names[row["layer"]] = row["layer_name"]
    return [
        (
            names[layer],
            float(np.mean([row["relative"] for row in own])),
            sum(row["relative"] > row["chance"] for row in own),
            len(own),
        )
        for layer, own in sorted(found.items())
    ]


def channels_sentence(table: pa.Table) -> str:
    """Return where activations differ most and least, and in which channels."""
    layers = layer_distances(table)
    ordered = sorted(layers, key=lambda layer: layer[1])
    most, least = ordered[-1], ordered[0]
    named = ", ".join(
        f"{row['layer_name']} {row['channel']} ({figure(row['relative'])})"
        for row in table.slice(0, 3).to_pylist()
    )
    beyond = sum(layer[2] for layer in layers)
    return (
        f"Activations differ most in {most[0]}, by {figure(most[1])} standard deviations of a "
        f"channel on average, and least in {least[0]}, by {figure(least[1])}; "
        f"{beyond:,} of {counted(len(table), 'channel')} differ by more than chance would; most: "
        f"{named}."
    )


def _below(counts: Counts) -> Float:
    """Return the shares of values up to each bin; NaN where there is none."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.cumsum(counts, axis=-1) / np.where(total > 0, total, np.nan)


def _moments(counts: Counts) -> tuple[Float, Float]:
    at, total = places(), counts.sum(axis=-1)
    total = np.where(total > 0, total, np.nan)
    mean = counts @ at / total
    return mean, np.maximum(counts @ (at * at) / total - mean * mean, 0)


def _by_chance(one: Counts, other: Counts, n: int, m: int) -> Float:
    """Return a bound of the expected distance of two samples of n and m images: see the schema.

    Both shares of n and m values below an edge are about normal there, so that their difference
    has the mean √(2/π) of its standard deviation.
    """
    pooled = (_below(one) * n + _below(other) * m) / (n + m)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))[..., :-1]
    return np.asarray(np.sqrt(2 / np.pi) * (spread * np.diff(places())).sum(axis=-1))


def _images(run: Run) -> int:
    status = run.summary().to_table(columns=["status"])["status"].to_numpy()
    return max(1, int((status == Status.OK).sum()))

"""Names of the measures, and the kind of each, which fixes its histogram. Needs no torch."""

from collections.abc import Collection

BINS = 256

PIXEL_COLUMNS = {"brightness": "fraction", "contrast": "fraction", "sharpness": "ratio"}
"""Columns of :func:`pipeline.measures.measure_pixels` with their kinds (see :func:`columns`)."""

_EACH_MAP = {
    "mass": "mass",
    "entropy": "fraction",
    "gini": "fraction",
    "area90": "fraction",
    "centroid_y": "fraction",
    "centroid_x": "fraction",
    "spread": "fraction",
    "anisotropy": "ratio",
    "border": "ratio",
    "centre": "ratio",
    "corner_tl": "ratio",
    "corner_tr": "ratio",
    "corner_bl": "ratio",
    "corner_br": "ratio",
}

_EDGES = {
    "fraction": tuple(i / BINS for i in range(BINS + 1)),
    "ratio": tuple(2.0 ** (i / 16 - 8) for i in range(BINS + 1)),
    "mass": tuple(10.0 ** (i / 16 - 12) for i in range(BINS + 1)),
    "count": tuple(i - 0.5 for i in range(BINS + 1)),
    "flag": (-0.5, 0.5, 1.5),
}


def columns(
    layers: int, boxes: bool, extras: Collection[str], label_maps: bool = False
) -> dict[str, str]:
    """Return the columns of :func:`pipeline.measures.measure`, in its order, with their kinds.

    Parameters
    ----------
    layers
        Number of layers L of the flow, at least 1.
    boxes
        Whether object boxes are given.
    extras
        Names of what the flow carries beside its maps; ``prefix_mass``, ``readout_rank``,
        ``patch_rank``, ``residual`` and ``token_norm`` have columns, others are ignored.
    label_maps
        Whether every image has a second flow, for its label, to compare with the first.

    Returns
    -------
    dict
        Name → kind: ``fraction`` in [0, 1]; ``ratio`` ≥ 0 where 1 means uniform; ``mass`` ≥ 0
        over many decades; ``count`` whole numbers ≥ 0; ``flag`` 0 or 1. Suffix ``_l07`` is layer
        7 (from 0), suffix ``_flow`` the map accumulated over all layers.

    Raises
    ------
    ValueError
        ``layers`` is below 1.
    """
    if layers < 1:
        raise ValueError(f"a flow has at least one layer, not {layers}")
    each_map = _EACH_MAP | ({"box_energy": "fraction"} if boxes else {})
    each_layer = {"share": "fraction"}
    whole = {"depth_centre": "fraction", "convergence_depth": "count"}
    if "prefix_mass" in extras:
        each_layer["prefix_mass"] = "fraction"
    if "readout_rank" in extras:
        each_layer["readout_rank"] = "fraction"
        whole["known_depth"] = "count"
    if "patch_rank" in extras:
        each_layer["patch_rank"] = "fraction"
    if "residual" in extras:
        each_layer["residual"] = "fraction"
    if label_maps:
        each_layer["label_jsd"] = "fraction"
    if boxes:
        whole |= {"box_area": "fraction", "box_lift_flow": "ratio", "box_hit_flow": "flag"}
    if "token_norm" in extras:
        whole["sink_cells"] = "count"
    names = {
        layer_column(stem, layer): kind
        for stem, kind in (each_map | each_layer).items()
        for layer in range(layers)
    }
    return names | {f"{stem}_flow": kind for stem, kind in each_map.items()} | whole


def layer_column(stem: str, layer: int) -> str:
    """Return the name of a layer's column: ``layer_column("mass", 7)`` is ``mass_l07``."""
    return f"{stem}_l{layer:02d}"


def edges(kind: str) -> tuple[float, ...]:
    """Return the bin edges that every histogram of a kind uses, ascending.

    ``fraction``: 256 equal bins of [0, 1]. ``ratio``: 256 bins, 16 to the octave, from 2⁻⁸ to 2⁸.
    ``mass``: 256 bins, 16 to the decade, from 10⁻¹² to 10⁴. ``count``: 256 bins centred at 0 …
    255. ``flag``: two bins, no and yes. Values beyond the ends, zeros of ``ratio`` and ``mass``
    among them, belong into the end bins; NaN belongs into none.

    Raises
    ------
    ValueError
        The kind is unknown.
    """
    try:
        return _EDGES[kind]
    except KeyError:
        raise ValueError(f"unknown kind {kind!r}; use one of {', '.join(_EDGES)}") from None

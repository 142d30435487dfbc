"""All measures of a batch of flows: one row per image, one tensor per column."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from pipeline.measures.boxes import coverage, energy, hit, valid
from pipeline.measures.columns import columns, layer_column
from pipeline.measures.depth import (
    convergence_depth,
    depth_centre,
    jensen_shannon,
    known_depth,
    shares,
)
from pipeline.measures.mass import Distribution, distribution, total
from pipeline.measures.regions import lifts
from pipeline.measures.shape import area90, gini, moments, relative_entropy
from pipeline.measures.sinks import sink_cells


class MeasurableFlow(Protocol):
    """What a flow must have: raw maps (B, L, h, w) ≥ 0, and named tensors (B, …)."""

    @property
    def maps(self) -> Tensor:
        """Raw maps (B, L, h, w) ≥ 0."""

    @property
    def extras(self) -> Mapping[str, Tensor]:
        """``prefix_mass``, ``readout_rank``, ``patch_rank`` and ``residual`` (B, L).

        And ``token_norm`` (B, h, w). All are optional.
        """


@torch.no_grad()
def measure(
    flow: MeasurableFlow, boxes: Tensor | None = None, label_maps: Tensor | None = None
) -> dict[str, Tensor]:
    """Return every measure of a batch of flows.

    Parameters
    ----------
    flow
        Raw maps of B images and L layers, with their extras, on any one device.
    boxes
        Objects of every image, (B, K, 4): x0, y0, x1, y1 in fractions of the model's input,
        rows of NaN as padding. None leaves the columns of boxes out.
    label_maps
        A second flow like ``flow.maps``, for the label of every image: ``label_jsd_lXX`` is the
        divergence of both flows accumulated up to a layer. None leaves these columns out.

    Returns
    -------
    dict
        Column → float32 (B,) on the device of the maps; names, order and kinds are those of
        :func:`pipeline.measures.columns`. With p = map / mass of a layer or of the accumulated
        flow, a value that does not exist is NaN, never infinite: everything made of p where the
        map is zero; boxes where an image has none; all of a map that is not finite. An image's
        values do not depend on the others of its batch.
    """
    maps = flow.maps.float()
    grid = (maps.shape[2], maps.shape[3])
    accumulated = distribution(maps.cumsum(1))
    layers = distribution(maps)
    each = Distribution(
        p=torch.cat([layers.p, accumulated.p[:, -1:]], 1),
        mass=torch.cat([layers.mass, accumulated.mass[:, -1:]], 1),
        defined=torch.cat([layers.defined, accumulated.defined[:, -1:]], 1),
    )
    share = shares(layers.mass)
    of_maps = _of_maps(each, grid)
    of_layers = {
        "entropy": accumulated.where_defined(relative_entropy(accumulated.p)),
        "share": share,
    }
    of_flow = {
        "entropy_flow": of_layers["entropy"][:, -1],
        "depth_centre": depth_centre(share),
        "convergence_depth": convergence_depth(accumulated),
    }
    if boxes is not None:
        inside, of_boxes = _of_boxes(each, boxes.float(), grid)
        of_maps["box_energy"] = inside
        of_flow |= of_boxes
    if "prefix_mass" in flow.extras:
        of_layers["prefix_mass"] = flow.extras["prefix_mass"].float()
    if "readout_rank" in flow.extras:
        of_layers["readout_rank"] = flow.extras["readout_rank"].float()
        of_flow["known_depth"] = known_depth(of_layers["readout_rank"])
    if "patch_rank" in flow.extras:
        of_layers["patch_rank"] = flow.extras["patch_rank"].float()
    if "residual" in flow.extras:
        # A layer that needs no solver has residual 0, even where its map is not finite.
        known = layers.mass.isfinite()
        of_layers["residual"] = torch.where(known, flow.extras["residual"].float(), torch.nan)
    if "token_norm" in flow.extras:
        of_flow["sink_cells"] = sink_cells(flow.extras["token_norm"].float())
    if label_maps is not None:
        other = distribution(label_maps.float().cumsum(1))
        of_layers["label_jsd"] = jensen_shannon(accumulated, other)
    return _table(of_maps, of_layers, of_flow, boxes is not None, flow.extras)


def _of_maps(each: Distribution, grid: tuple[int, int]) -> dict[str, Tensor]:
    """Return what every layer and the accumulated flow have, (B, L + 1) each."""
    ascending = each.p.sort(-1).values
    place = moments(each.p, grid)
    values = {
        "gini": gini(ascending),
        "area90": area90(ascending),
        "centroid_y": place.centroid_y,
        "centroid_x": place.centroid_x,
        "spread": place.spread,
        "anisotropy": place.anisotropy,
        **lifts(each.p, grid),
    }
    return {"mass": each.mass} | {name: each.where_defined(value) for name, value in values.items()}


def _of_boxes(
    each: Distribution, boxes: Tensor, grid: tuple[int, int]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the energy in the boxes (B, L + 1), and what only the accumulated flow has."""
    covered = coverage(boxes, grid)
    area = total(covered) / covered.shape[-1]
    boxed = valid(boxes).any(1)
    inside = torch.where(boxed[:, None], each.where_defined(energy(each.p, covered)), torch.nan)
    flow_hit = hit(each.p[:, -1], boxes, grid).float()
    return inside, {
        "box_area": torch.where(boxed, area, torch.nan),
        "box_lift_flow": inside[:, -1] / area,
        "box_hit_flow": torch.where(boxed & each.defined[:, -1], flow_hit, torch.nan),
    }


def _table(
    of_maps: Mapping[str, Tensor],
    of_layers: Mapping[str, Tensor],
    of_flow: Mapping[str, Tensor],
    boxes: bool,
    extras: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Name the columns, put them into their order, and take the rounding off fractions."""
    kinds = columns(of_layers["share"].shape[1], boxes, extras, "label_jsd" in of_layers)
    found = dict(of_flow)
    for stem, values in of_layers.items():
        found |= {layer_column(stem, b): value for b, value in enumerate(values.unbind(1))}
    for stem, values in of_maps.items():
        *of_each, of_all = values.unbind(1)
        found |= {layer_column(stem, b): value for b, value in enumerate(of_each)}
        found[f"{stem}_flow"] = of_all
    return {
        name: found[name].clamp(0, 1) if kind == "fraction" else found[name]
        for name, kind in kinds.items()
    }

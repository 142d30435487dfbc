import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pipeline.flows import Flow, accumulate
from pipeline.measures import columns, measure
from tests.measures import reference
from tests.measures.flows import flow_of, grid_maps, image_of, seeded_boxes, seeded_maps

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()
HALF = torch.tensor([[[0.0, 0.0, 0.5, 1.0]]])


def bits(table: dict[str, Tensor]) -> Tensor:
    """Return a table as whole numbers (columns, B), so that NaN equals NaN."""
    return torch.stack(list(table.values())).view(torch.int32).cpu()


def to(flow: Flow, device: str) -> Flow:
    extras = {name: values.to(device) for name, values in flow.extras.items()}
    return replace(flow, maps=flow.maps.to(device), extras=extras)


def expected_image(maps: np.ndarray, boxes: np.ndarray | None) -> dict[str, float]:
    """Return what one image's columns should be, from the reference in float64."""
    flow = np.cumsum(maps.astype(np.float64), 0)
    mass = maps.astype(np.float64).sum((1, 2))
    found: dict[str, float] = {}
    for b, (layer, step) in enumerate(zip(maps, flow, strict=True)):
        found |= {f"{stem}_l{b:02d}": v for stem, v in expected_map(layer, boxes).items()}
        found[f"share_l{b:02d}"] = mass[b] / mass.sum()
        found[f"entropy_l{b:02d}"] = reference.relative_entropy(reference.probability(step))
    found |= {f"{stem}_flow": value for stem, value in expected_map(flow[-1], boxes).items()}
    found["entropy_flow"] = reference.relative_entropy(reference.probability(flow[-1]))
    depths = np.arange(len(maps)) / max(len(maps) - 1, 1)
    found["depth_centre"] = (depths * mass).sum() / mass.sum()
    found["convergence_depth"] = reference.convergence_depth(reference.divergences(maps))
    if boxes is not None:
        area = boxes.mean()
        found |= {"box_area": area, "box_lift_flow": found["box_energy_flow"] / area}
    return found


def expected_map(grid_map: np.ndarray, covered: np.ndarray | None) -> dict[str, float]:
    p = reference.probability(grid_map)
    found = {
        "mass": float(grid_map.astype(np.float64).sum()),
        "gini": reference.gini(p),
        "area90": reference.area90(p),
        **reference.moments(p),
        **reference.lifts(p),
    }
    return found | ({} if covered is None else {"box_energy": float((p * covered).sum())})


@pytest.mark.parametrize("grid", [(14, 14), (3, 5), (1, 4)])
def test_every_column_as_the_reference_says(grid: tuple[int, int]) -> None:
    maps = seeded_maps(6, 4, grid, seed=3)
    pixels = np.array([[0, 0, 5, 3], [4, 2, grid[1] * 8, grid[0] * 8 - 1]], np.float64)
    scale = np.array([grid[1], grid[0]] * 2) * 8
    boxes = torch.from_numpy((pixels / scale).astype(np.float32)).expand(6, -1, -1)
    found = measure(flow_of(maps), boxes)
    covered = reference.coverage(pixels, grid, 8)
    for image in range(6):
        expected = expected_image(maps[image].numpy(), covered)
        actual = {name: found[name][image].item() for name in expected}
        assert actual == pytest.approx(expected, rel=1e-4, abs=1e-5)
        others = {"box_hit_flow", "sink_cells"} | {f"prefix_mass_l{b:02d}" for b in range(4)}
        assert set(found) == set(expected) | others


def test_hits_are_those_of_the_accumulated_flow() -> None:
    maps = torch.zeros(2, 2, 4, 4)
    maps[0, 0, 0, 0], maps[0, 1, 3, 3] = 1, 2
    maps[1, 0, 0, 0], maps[1, 1, 3, 3] = 2, 1
    assert measure(flow_of(maps), HALF.expand(2, -1, -1))["box_hit_flow"].tolist() == [0, 1]


@pytest.mark.parametrize("layers", [1, 3, 12])
@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize("extras", [(), ("prefix_mass",), ("token_norm", "prefix_mass")])
def test_names_and_order_are_those_of_columns(
    layers: int, boxed: bool, extras: tuple[str, ...]
) -> None:
    flow = flow_of(seeded_maps(2, layers, (3, 4)))
    flow = replace(flow, extras={name: flow.extras[name] for name in extras})
    found = measure(flow, seeded_boxes(2, 2) if boxed else None)
    assert list(found) == list(columns(layers, boxed, extras))
    assert all(v.shape == (2,) and v.dtype == torch.float32 for v in found.values())


def test_both_flows_of_an_image_are_compared_layer_by_layer() -> None:
    maps, other = seeded_maps(3, 4, (3, 5), seed=1), seeded_maps(3, 4, (3, 5), seed=2)
    other[1] = maps[1]
    other[2] = 0
    found = measure(flow_of(maps), label_maps=other)
    assert list(found) == list(columns(4, False, flow_of(maps).extras, label_maps=True))
    values = torch.stack([found[f"label_jsd_l{b:02d}"] for b in range(4)], 1)
    flows = [np.cumsum(m[0].numpy().astype(np.float64), 0) for m in (maps, other)]
    expected = [reference.jensen_shannon(*pair) for pair in zip(*flows, strict=True)]
    np.testing.assert_allclose(values[0].numpy(), expected, atol=3e-6)
    assert values[1].tolist() == [0, 0, 0, 0]
    assert values[2].isnan().all()


def test_ranks_of_the_readout_have_their_columns() -> None:
    flow = flow_of(seeded_maps(3, 4, (4, 4)))
    rank = torch.ones(len(flow.maps), 4)
    rank[0, 2] = 0.5
    patches = rank / 4
    found = measure(replace(flow, extras={"readout_rank": rank, "patch_rank": patches}))
    assert found["patch_rank_l02"].tolist() == patches[:, 2].tolist()
    assert found["readout_rank_l02"].tolist() == rank[:, 2].tolist()
    assert found["known_depth"].tolist() == [3] + [0] * (len(rank) - 1)


def test_residuals_have_their_columns_but_not_beside_a_map_that_is_not_finite() -> None:
    flow = flow_of(seeded_maps(3, 2, (4, 4)))
    flow.maps[1, 1, 0, 0] = torch.nan
    flow.maps[2, 0] = 0
    residual = torch.tensor([[0.25, 0.0], [0.5, 0.0], [0.75, 1.0]])
    found = measure(replace(flow, extras={"residual": residual}))
    assert list(found) == list(columns(2, False, ["residual"]))
    assert found["residual_l00"].tolist() == [0.25, 0.5, 0.75]
    assert found["residual_l01"].isnan().tolist() == [False, True, False]
    assert found["residual_l01"][2] == 1


def test_extras_go_through() -> None:
    flow = flow_of(seeded_maps(3, 2, (4, 4)))
    found = measure(flow)
    for b in range(2):
        assert torch.equal(found[f"prefix_mass_l{b:02d}"], flow.extras["prefix_mass"][:, b])
    flow.extras["token_norm"][:] = 1
    flow.extras["token_norm"][1, 0, :3] = 9
    assert measure(flow)["sink_cells"].tolist() == [0, 3, 0]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("layers", "grid"), [(12, (14, 14)), (3, (7, 5)), (2, (37, 37))])
def test_an_image_has_the_same_bits_alone_and_among_others(
    device: str, layers: int, grid: tuple[int, int]
) -> None:
    flow, boxes = to(flow_of(seeded_maps(32, layers, grid)), device), seeded_boxes(32, 3).to(device)
    together = bits(measure(flow, boxes))
    for image in (0, 1, 13, 31):
        alone = measure(image_of(flow, image), boxes[image : image + 1].clone())
        assert torch.equal(bits(alone)[:, 0], together[:, image])
    halves = [
        measure(
            replace(flow, maps=flow.maps[h], extras={k: v[h] for k, v in flow.extras.items()}),
            boxes[h],
        )
        for h in (slice(0, 9), slice(9, 32))
    ]
    assert torch.equal(torch.cat([bits(half) for half in halves], 1), together)


def test_broken_neighbours_leave_the_others_alone() -> None:
    flow, boxes = flow_of(seeded_maps(6, 3, (5, 5))), seeded_boxes(6, 3)
    clean = bits(measure(flow, boxes))
    flow.maps[1, 0, 2, 2] = torch.nan
    flow.maps[2, 1] = torch.inf
    flow.maps[4] = 0
    flow.extras["token_norm"][1] = torch.nan
    boxes[2] = torch.nan
    found = bits(measure(flow, boxes))
    assert torch.equal(found[:, [0, 3, 5]], clean[:, [0, 3, 5]])
    assert not torch.equal(found[:, [1, 2, 4]], clean[:, [1, 2, 4]])


def test_an_image_without_mass_has_nulls_and_its_mass() -> None:
    flow = flow_of(torch.zeros(1, 2, 3, 3))
    found = {name: v.item() for name, v in measure(flow, HALF).items()}
    known = {"mass_l00", "mass_l01", "mass_flow", "box_area", "sink_cells"}
    known |= {"prefix_mass_l00", "prefix_mass_l01"}
    assert {name for name, value in found.items() if not np.isnan(value)} == known
    assert found["mass_l00"] == found["mass_flow"] == 0
    assert found["box_area"] == 0.5


def test_a_layer_without_mass_has_nulls_of_its_own() -> None:
    maps = seeded_maps(1, 3, (4, 4))
    maps[:, 0] = 0
    found = measure(flow_of(maps), HALF)
    empty = {name for name, v in found.items() if v.isnan().any()}
    of_p = set(expected_map(np.ones((4, 4)), np.ones((4, 4)))) - {"mass"} | {"entropy"}
    assert empty == {f"{stem}_l00" for stem in of_p}
    assert found["share_l00"] == 0
    assert found["convergence_depth"] >= 1


def test_images_without_boxes_are_not_scored() -> None:
    boxes = torch.full((3, 2, 4), torch.nan)
    boxes[1, 1] = torch.tensor([0.1, 0.1, 0.6, 0.6])
    boxes[2] = torch.tensor([0.3, 0.3, 0.3, 0.6])
    found = measure(flow_of(seeded_maps(3, 2, (4, 4))), boxes)
    for name in columns(2, True, ()).keys() - columns(2, False, ()).keys():
        assert found[name].isnan().tolist() == [True, False, True], name


def test_an_empty_axis_of_boxes_scores_nothing() -> None:
    found = measure(flow_of(seeded_maps(2, 2, (4, 4))), torch.zeros(2, 0, 4))
    assert found["box_area"].isnan().all()
    assert found["box_hit_flow"].isnan().all()


@given(st.integers(1, 4).flatmap(lambda layers: grid_maps(layers=layers)))
def test_values_are_finite_and_keep_to_their_kind(maps: Tensor) -> None:
    kinds = columns(len(maps), True, ())
    found = measure(replace(flow_of(maps[None]), extras={}), HALF)
    for name, kind in kinds.items():
        value = found[name].item()
        assert np.isfinite(value), name
        assert value >= 0, name
        assert kind != "fraction" or value <= 1, name
        assert kind != "flag" or value in (0, 1), name
        assert kind != "count" or value == int(value), name


@given(grid_maps(layers=3), st.integers(-20, 20))
def test_scale_changes_mass_and_nothing_else(maps: Tensor, octaves: int) -> None:
    before = measure(replace(flow_of(maps[None]), extras={}), HALF)
    after = measure(replace(flow_of(maps[None] * 2.0**octaves), extras={}), HALF)
    for name in before:
        factor = 2.0**octaves if name.startswith("mass") else 1.0
        assert torch.equal(after[name], before[name] * factor), name


@given(grid_maps(layers=2))
def test_a_mirror_swaps_left_and_right(maps: Tensor) -> None:
    mirrored = maps.flip(-1)
    found, other = (measure(replace(flow_of(m[None]), extras={})) for m in (maps, mirrored))
    for place in ("l00", "l01", "flow"):
        for row in "tb":
            assert other[f"corner_{row}r_{place}"].item() == pytest.approx(
                found[f"corner_{row}l_{place}"].item(), abs=1e-5
            )
        assert other[f"centroid_x_{place}"].item() == pytest.approx(
            1 - found[f"centroid_x_{place}"].item(), abs=2e-6
        )
        torch.testing.assert_close(
            other[f"gini_{place}"], found[f"gini_{place}"], atol=2e-6, rtol=0
        )


def test_the_flow_is_what_accumulate_makes() -> None:
    maps = seeded_maps(4, 5, (6, 6))
    found = measure(flow_of(maps), seeded_boxes(4, 1, seed=2))
    final = measure(flow_of(accumulate(maps)[:, -1:]), seeded_boxes(4, 1, seed=2))
    for name in [name for name in found if name.endswith("_flow")]:
        torch.testing.assert_close(found[name], final[name], equal_nan=True)


def test_a_float64_or_half_flow_is_measured_in_float32() -> None:
    maps = seeded_maps(2, 2, (4, 4)).half().clamp(min=1e-3)
    tables = [measure(replace(flow_of(maps), maps=maps.to(t))) for t in (torch.half, torch.double)]
    assert torch.equal(bits(tables[0]), bits(tables[1]))


def test_no_graph_is_kept() -> None:
    maps = seeded_maps(2, 2, (4, 4)).requires_grad_()
    assert not any(v.requires_grad for v in measure(flow_of(maps)).values())


def test_a_batch_of_64_is_measured_and_its_time_printed() -> None:
    flow, boxes = flow_of(seeded_maps(64, 12, (14, 14))), seeded_boxes(64, 4)
    token, weight = torch.randn(64 * 197, 192), torch.randn(192, 576)
    seconds = {"measure": [], "one qkv projection of vit_tiny": []}
    for _ in range(3):
        start = time.perf_counter()
        found = measure(flow, boxes)
        middle = time.perf_counter()
        token @ weight
        seconds["measure"].append(middle - start)
        seconds["one qkv projection of vit_tiny"].append(time.perf_counter() - middle)
    print({name: f"{1e3 * min(runs):.1f} ms" for name, runs in seconds.items()})
    assert found["gini_flow"].shape == (64,)
    assert sum(v.isnan().any().item() for v in found.values()) == 16  # boxes of every fifth image

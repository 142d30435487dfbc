import itertools
import math
import subprocess
import sys

import pytest

from pipeline.measures.columns import columns, edges, layer_column

EACH = ["mass", "entropy", "gini", "area90", "centroid_y", "centroid_x", "spread", "anisotropy"]
EACH += ["border", "centre", "corner_tl", "corner_tr", "corner_bl", "corner_br"]


def test_a_plain_flow_has_every_statistic_per_layer_and_for_the_flow() -> None:
    layers = ("l00", "l01", "flow")
    expected = {f"{stem}_{layer}" for stem in EACH for layer in layers}
    expected |= {"share_l00", "share_l01", "depth_centre", "convergence_depth"}
    assert set(columns(2, False, ())) == expected


def test_boxes_and_extras_add_their_columns_only() -> None:
    plain, boxed = columns(2, False, ()), columns(2, True, ())
    assert set(boxed) - set(plain) == {
        "box_energy_l00",
        "box_energy_l01",
        "box_energy_flow",
        "box_area",
        "box_lift_flow",
        "box_hit_flow",
    }
    assert set(columns(1, False, {"prefix_mass", "other"})) - set(columns(1, False, ())) == {
        "prefix_mass_l00"
    }
    ranks = set(columns(2, False, ["patch_rank"])) - set(columns(2, False, ()))
    assert ranks == {"patch_rank_l00", "patch_rank_l01"}
    residual = columns(1, False, ["residual"])
    assert {name: residual[name] for name in set(residual) - set(columns(1, False, []))} == {
        "residual_l00": "fraction"
    }
    assert set(columns(1, False, ["token_norm"])) - set(columns(1, False, [])) == {"sink_cells"}


def test_columns_of_a_second_flow() -> None:
    both, one = columns(2, False, (), label_maps=True), columns(2, False, ())
    assert {name: both[name] for name in set(both) - set(one)} == {
        "label_jsd_l00": "fraction",
        "label_jsd_l01": "fraction",
    }


def test_twelve_layers_stay_near_the_budget_of_columns() -> None:
    assert len(columns(12, True, ("prefix_mass", "token_norm"))) == 17 * 12 + 21


def test_kinds_of_the_columns() -> None:
    kinds = columns(1, True, ("prefix_mass", "token_norm"))
    assert kinds["mass_flow"] == "mass"
    assert kinds["corner_tl_l00"] == kinds["anisotropy_flow"] == kinds["box_lift_flow"] == "ratio"
    assert kinds["convergence_depth"] == kinds["sink_cells"] == "count"
    assert kinds["box_hit_flow"] == "flag"
    assert kinds["area90_l00"] == kinds["depth_centre"] == kinds["box_area"] == "fraction"


def test_order_does_not_depend_on_the_order_of_extras() -> None:
    names = ["token_norm", "prefix_mass"]
    assert list(columns(3, True, names)) == list(columns(3, True, names[::-1]))


def test_layers_beyond_a_hundred_keep_distinct_names() -> None:
    assert layer_column("gini", 7) == "gini_l07"
    assert layer_column("gini", 107) == "gini_l107"


def test_no_layers_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one layer"):
        columns(0, False, ())


@pytest.mark.parametrize("kind", ["fraction", "ratio", "mass", "count", "flag"])
def test_edges_ascend_and_bound_their_bins(kind: str) -> None:
    found = edges(kind)
    assert len(found) == (3 if kind == "flag" else 257)
    assert all(low < high for low, high in itertools.pairwise(found))
    assert all(isinstance(edge, float) for edge in found)


def test_edges_span_what_they_promise() -> None:
    assert (edges("fraction")[0], edges("fraction")[-1]) == (0.0, 1.0)
    assert (edges("ratio")[0], edges("ratio")[128], edges("ratio")[-1]) == (2**-8, 1.0, 2**8)
    assert math.isclose(edges("mass")[0], 1e-12)
    assert math.isclose(edges("mass")[-1], 1e4)
    assert edges("count")[:2] == (-0.5, 0.5)
    assert edges("count")[-1] == 255.5
    assert edges("flag") == (-0.5, 0.5, 1.5)


def test_every_column_has_a_kind_with_edges() -> None:
    for kind in columns(2, True, ("prefix_mass", "token_norm")).values():
        assert edges(kind)


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="fraction, ratio, mass, count, flag"):
        edges("percent")


def test_the_file_itself_needs_nothing_but_python() -> None:
    source = sys.modules[columns.__module__].__file__
    code = f"import runpy, sys; runpy.run_path({source!r}); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-S", "-c", code], check=True)

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import wasserstein_distance

from pipeline.atlas import aggregate
from pipeline.audit.compare.channel_images import SHOWN
from pipeline.audit.compare.channels import (
    channel_differences,
    channels_sentence,
    earth_movers,
    layer_distances,
)
from pipeline.audit.compare.comparison import companion_path, compare, compare_path
from pipeline.engine import run_flows
from pipeline.errors import ConfigError
from pipeline.measures.activations import BINS, EDGES
from pipeline.report.pages.comparison import read_comparisons
from pipeline.store import open_run
from tests.engine.datasets import small_config

WIDTH = np.concatenate([[0], np.diff(EDGES.astype(float)), [0]])


def counted(values):
    return np.bincount(np.searchsorted(EDGES, values, side="right"), minlength=BINS)


@given(
    st.integers(0, 10_000), st.floats(0.01, 60), st.floats(-20, 20), st.sampled_from([1, 17, 400])
)
def test_the_distance_is_that_of_the_raw_values_within_half_a_bin(seed, scale, shift, n):
    rng = np.random.default_rng(seed)
    one = rng.standard_normal(n).astype(np.float32)
    other = (shift + scale * rng.standard_normal(2 * n)).astype(np.float32)
    found = earth_movers(counted(one), counted(other))
    exact = wasserstein_distance(one, other)
    bound = (WIDTH @ counted(one) / n + WIDTH @ counted(other) / (2 * n)) / 2
    assert abs(found - exact) <= bound + 1e-6


def test_equal_histograms_are_no_distance_and_empty_ones_have_none():
    counts = counted(np.random.default_rng(0).standard_normal(100).astype(np.float32))
    assert earth_movers(counts, 3 * counts) == 0
    assert np.isnan(earth_movers(counts, 0 * counts))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run, and one of the same images made darker, which changes what channels see."""
    folder = tmp_path_factory.mktemp("two")
    flow = {"method": "activation", "channels": True, "batch_size": 8}
    config = small_config(folder, flow=flow)
    dark = folder / "dark"
    for path in sorted(Path(config.dataset.source).rglob("*.png")):
        place = dark / path.relative_to(config.dataset.source)
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).point(lambda value: value // 3).save(place)
    other = small_config(folder, "other", flow=flow, dataset={"source": str(dark)})
    for one in (config, other):
        run_flows(one)
        aggregate(open_run(one.run), workers=1, k=2)
    return open_run(config.run), open_run(other.run)


def test_channels_are_listed_by_their_distance_with_the_images_that_excite_them(runs):
    one, other = runs
    table = channel_differences(one, other)
    assert len(table) == 3 * 24
    rows = table.to_pylist()
    assert [row["relative"] for row in rows] == sorted(
        (row["relative"] for row in rows), reverse=True
    )
    assert channel_differences(one, one)["emd"].to_numpy().max() == 0
    assert (table["chance"].to_numpy() > 0).all()
    assert {layer[0] for layer in layer_distances(table)} == set(one.spec.layers)
    assert rows[0]["layer_name"] in channels_sentence(table)


def test_layers_and_channels_can_be_chosen_and_unknown_ones_are_refused(runs):
    one, other = runs
    some = channel_differences(one, other, ["blocks.1"], [3, 5])
    assert {(row["layer_name"], row["channel"]) for row in some.to_pylist()} == {
        ("blocks.1", 3),
        ("blocks.1", 5),
    }
    with pytest.raises(ConfigError, match=r"layers are blocks\.0"):
        channel_differences(one, other, ["head"])
    with pytest.raises(ConfigError, match="up to 24"):
        channel_differences(one, other, (), [24])


def test_a_comparison_stores_them_and_its_page_shows_them(runs):
    one, other = runs
    compare(one, other)
    path = compare_path(other)
    stored = one.table(companion_path(path, "channels"))
    assert stored.equals(channel_differences(one, other))
    (page,) = read_comparisons(one)
    assert page.channels.sentence == channels_sentence(stored)
    assert [line.row for line in page.channels.lines] == stored.slice(0, SHOWN).to_pylist()
    (first, *_) = page.channels.lines
    assert {image.row for image in first.images} <= page.rows
    assert len(first.other_images) == 4
    assert len(first.classes) == 3

"""Histograms of activations from images to the atlas, and into a comparison of two runs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.atlas import aggregate, read_channels
from pipeline.config import LimitsConfig
from pipeline.engine import run_flows
from pipeline.engine.batch import indexed_images
from pipeline.engine.context import open_context
from pipeline.errors import ConfigError, RunIncomplete
from pipeline.store import Run, open_run, verify
from tests.engine.datasets import small_config

FLOW = {"method": "activation", "channels": True, "batch_size": 4}


def computed(folder: Path, name: str = "run", **changes: object) -> Run:
    config = small_config(folder, name, **{"flow": FLOW, **changes})
    config = config.model_copy(update={"limits": LimitsConfig(quarantine=1)})
    run_flows(config)
    return open_run(config.run)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("channels")
    config = small_config(folder)
    (Path(config.dataset.source) / "class_1/0004.png").write_bytes(b"?")
    return computed(folder)


def test_counts_of_units_are_those_of_their_usable_images(run: Run) -> None:
    assert verify(run.store, run.spec, deep=True).problems == ()
    ok = run.status[:] == 1
    assert (~ok).sum() == 1
    assert run.channel_counts.shape == (5, 3, 24, 128)
    assert run.channel_counts.metadata.dimension_names == ("unit", "layer", "channel", "bin")
    with open_context(run.uri, threads=1, heads=True) as context:
        places = [item.place for item in indexed_images(run.index_rows(0, 40), run.box_rows(0, 40))]
        shown = [context.images.load(places[row]).pixels for row in np.flatnonzero(ok)]
        extras = context.flow(context.transform.normalise(torch.from_numpy(np.stack(shown)))).extras
    own = np.zeros((40, 3, 24, 128), np.int64)
    own[ok] = extras["channel_counts"].numpy()
    for unit in run.units:
        stored, wanted = run.channel_counts[unit.id], own[unit.lo : unit.hi].sum(0)
        assert stored.sum() == wanted.sum() == ok[unit.lo : unit.hi].sum() * 3 * 24 * 16
        assert np.abs(stored.astype(int) - wanted).sum() <= 1e-3 * wanted.sum()  # other rounding
    peaks = run.channel_peaks[:]
    assert not peaks[~ok].any()
    np.testing.assert_allclose(peaks[ok], extras["channel_peaks"].numpy(), rtol=2**-10, atol=1e-4)


def test_an_atlas_adds_units_up_for_any_number_of_workers(run: Run) -> None:
    whole = run.channel_counts[:].sum(axis=0, dtype=np.int64)
    for workers in (1, 3):
        aggregate(run, tables=["label"], workers=workers, k=2)
        assert np.array_equal(read_channels(run), whole)
    aggregate(run, by="correct", workers=1, k=2)
    with pytest.raises(RunIncomplete, match=r"flow\.channels"):
        read_channels(run, "correct")


def test_batches_change_no_image(run: Run, tmp_path: Path) -> None:
    """The same images in batches of another size: the same sums, up to values at an edge."""
    folder = Path(run.uri).parent
    other = computed(folder, "other", flow={**FLOW, "batch_size": 8}, unit_rows=16)
    one = run.channel_counts[:].sum(0, dtype=np.int64)
    two = other.channel_counts[:].sum(0, dtype=np.int64)
    assert one.sum() == two.sum()
    assert np.abs(one - two).sum() <= 1e-3 * one.sum()


def test_other_methods_have_no_channels_and_older_runs_no_field(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"flow\.method: activation, not daam"):
        computed(tmp_path, flow={"method": "daam", "channels": True})
    plain = computed(tmp_path, flow={"method": "activation"})
    content = plain.spec.to_json()
    assert "layer_channels" not in content
    assert "channels" not in content["config"]["flow"]
    with pytest.raises(RunIncomplete, match=r"flow\.channels: true"):
        plain.channel_counts  # noqa: B018

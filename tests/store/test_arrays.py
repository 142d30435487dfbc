import tempfile

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from pipeline.store import Unit, open_store
from pipeline.store.arrays import create_arrays, power_of_two_scale, write_shards
from pipeline.store.objects import sizes
from tests.store.runs import data_of, spec_of


@given(st.integers(-120, 120), st.integers(0, 2**32 - 1))
def test_a_map_of_any_magnitude_keeps_eleven_bits(exponent: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = np.ldexp(rng.random((2, 3, 4, 4), dtype=np.float32), exponent).astype(np.float32)
    scale = power_of_two_scale(maps)
    stored = (maps / scale[:, :, None, None]).astype(np.float16)
    assert np.isfinite(stored).all()
    restored = stored.astype(np.float32) * scale[:, :, None, None]
    peak = maps.max(axis=(2, 3), keepdims=True)
    large = maps > peak * 2**-12
    assert (np.abs(restored - maps)[large] <= maps[large] * 2**-11).all()
    assert (np.abs(restored - maps) <= peak * 2**-24).all() or large.any()


def test_scale_is_a_power_of_two_and_one_for_zeros() -> None:
    maps = np.zeros((1, 4, 1, 2), np.float32)
    maps[0, 1], maps[0, 2, 0, 0], maps[0, 3] = 3.0, 0.25, np.float32(1e-40)
    assert power_of_two_scale(maps)[0].tolist() == [1.0, 4.0, 0.25, 2.0**-126]


def test_xarray_finds_names_and_zarr_the_values() -> None:
    spec = spec_of()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        create_arrays(store, spec)
        create_arrays(store, spec)
        for unit in spec.units:
            data = data_of(unit, spec)
            write_shards(store, spec, unit, data.arrays)
        group = zarr.open_group(f"{folder}/flows.zarr", mode="r")
        maps, scale = group["maps"], group["scale"]
        assert maps.metadata.dimension_names == ("image", "layer", "y", "x")
        assert group.attrs["layers"] == ["blocks.0", "blocks.1"]
        assert maps.shards == (16, 2, 3, 4)
        last = spec.units[-1]
        expected = data_of(last, spec).maps
        found = maps[last.lo : last.hi].astype(np.float32) * scale[last.lo :][:, :, None, None]
        np.testing.assert_allclose(found, expected, rtol=2**-11, atol=expected.max() * 2**-24)


@pytest.mark.parametrize("unit", [Unit(0, 0, 8), Unit(0, 8, 24), Unit(3, 48, 49), Unit(1, 16, 33)])
def test_rows_that_are_not_one_shard_are_refused(unit: Unit, tmp_path: object) -> None:
    spec = spec_of()
    store = open_store(str(tmp_path))
    create_arrays(store, spec)
    before = sizes(store, "flows.zarr")
    data = data_of(unit, spec)
    with pytest.raises(ValueError, match="not one shard"):
        write_shards(store, spec, unit, data.arrays)
    assert sizes(store, "flows.zarr") == before


@pytest.mark.parametrize("change", [{"channels": 4}, {"label_maps": True}, {"grid": (4, 3)}])
def test_arrays_that_are_not_the_runs_are_refused(
    change: dict[str, object], tmp_path: object
) -> None:
    spec = spec_of(**change)
    store = open_store(str(tmp_path))
    create_arrays(store, spec)
    unit = spec.units[0]
    with pytest.raises(ValueError, match="do not fit"):
        write_shards(store, spec, unit, data_of(unit, spec_of()).arrays)


def test_a_shard_of_zeros_is_written_all_the_same(tmp_path: object) -> None:
    spec = spec_of()
    store = open_store(str(tmp_path))
    create_arrays(store, spec)
    unit = spec.units[0]
    data = data_of(unit, spec, quarantined=tuple(range(16)))
    stored = write_shards(store, spec, unit, data.arrays)
    assert all(item.size > 0 for item in stored)
    assert {item.path: item.size for item in stored}.items() <= sizes(store, "flows.zarr").items()

import numpy as np

from pipeline.atlas.statistics.columns import finish_column
from pipeline.atlas.statistics.sums import ONE
from pipeline.atlas.storage.parquet import flat_columns
from pipeline.store import Column


def test_a_column_has_its_mean_and_quantiles_and_a_mass_its_geometric_mean():
    histogram = np.zeros((1, 256), np.uint32)
    histogram[0, 128] = 10
    log_mass = np.array([round(10 * -4 / 16 * ONE)])
    square = np.array([round(10 * (4 / 16) ** 2 * ONE)])
    found = flat_columns(finish_column(Column("mass_flow", "mass"), histogram, log_mass, square))
    np.testing.assert_allclose(found["mass_flow_mean"], 1e-4, rtol=1e-6)
    assert set(found) == {f"mass_flow_{end}" for end in ("mean", "p10", "median", "p90")}
    assert found["mass_flow_p10"] <= found["mass_flow_median"] <= found["mass_flow_p90"]


def test_a_flag_has_a_mean_alone():
    histogram = np.array([[1, 3]], np.uint32)
    sums = np.array([3 * ONE])
    found = flat_columns(finish_column(Column("box_hit_flow", "flag"), histogram, sums, sums))
    assert found.keys() == {"box_hit_flow_mean"}
    assert found["box_hit_flow_mean"].tolist() == [0.75]
